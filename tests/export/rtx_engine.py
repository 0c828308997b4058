# SPDX-License-Identifier: Apache-2.0
"""Builds an engine by TensorRT for RTX, which needs no GPU for that; without it, tests that import this are skipped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gar_ros.engine.runtime.tensorrt.profiles import Profile

trt: Any = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed (make test-all)")


def build_for_sm86(path: Path, profiles: Sequence[Profile]) -> tuple[int, list[str]]:
    """Bytes of a graph's engine for SM86, and all that TensorRT said, its plan among it."""
    lines: list[str] = []

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            lines.append(msg)

    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    assert parser.parse_from_file(str(path)), parser.get_error(0).desc()
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    for shapes in profiles:
        profile = builder.create_optimization_profile()
        for name, ranges in shapes.items():
            profile.set_shape(name, ranges.smallest, ranges.usual, ranges.largest)
        config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    assert engine is not None, lines[-1]
    return int(engine.nbytes), lines
