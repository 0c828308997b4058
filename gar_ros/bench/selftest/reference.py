# SPDX-License-Identifier: Apache-2.0
"""What the CPU computes, in a process of its own.

python -m gar_ros.bench.selftest reference --model DIR --threads N --tiles N --out FILE
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort

from gar_ros.bench.selftest.row import Row
from gar_ros.bench.selftest.stages import Setting, attempted, stages_of
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.runtime.ort import OrtRuntime


class PlainRuntime(OrtRuntime):
    """ONNX Runtime on the CPU, each graph as it is written: nothing is fused, so that the provider `cpu` is compared
    with something, too."""

    def __init__(self, threads: int) -> None:
        """threads: of one operator; 0 for all cores."""
        super().__init__("cpu", threads)
        self._options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL


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
