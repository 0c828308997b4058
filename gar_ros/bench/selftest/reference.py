# SPDX-License-Identifier: Apache-2.0
"""What the CPU computes, in a process of its own.

python -m gar_ros.bench.selftest reference --model DIR --threads N --tiles N --out FILE
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gar_ros.bench.selftest.row import Row
from gar_ros.bench.selftest.stages import Setting, attempted, stages_of
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.runtime.ort import OrtRunner, first_line
from gar_ros.engine.runtime.protocol import DeviceTensor, join_on_host
from gar_ros.errors import ErrorCode, GarError


class PlainRuntime:
    """ONNX Runtime on the CPU, each graph as it is written: nothing is fused, so that the provider `cpu` is compared
    with something, too. See Runtime."""

    provider = "cpu"

    def __init__(self, threads: int) -> None:
        self._options = ort.SessionOptions()
        self._options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._options.intra_op_num_threads = threads

    def load(self, graph: Path) -> OrtRunner:
        """See Runtime."""
        try:
            session = ort.InferenceSession(str(graph), self._options, providers=["CPUExecutionProvider"])
            return OrtRunner(session, "cpu", graph.name)
        except Exception as error:  # its exception types have no common base
            raise GarError(ErrorCode.BAD_MODEL, f"'{graph}' can't be loaded on the CPU: {first_line(error)}") from error

    def join(self, parts: Sequence[NDArray[Any] | DeviceTensor]) -> NDArray[np.float32]:
        """See Runtime."""
        return join_on_host(parts)


def main(argv: Sequence[str]) -> int:
    """Writes the stages to a file; prints a row where they fail."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--tiles", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)

    def compute() -> Row:
        engine = GarEngine(ModelDir.open(args.model), PlainRuntime(args.threads))
        stages_of(Setting(engine, args.tiles)).write(args.out)
        return Row("the CPU's side", None, "computed")

    row = attempted("the CPU's side", compute)
    print(row.as_line(), flush=True)
    return 0
