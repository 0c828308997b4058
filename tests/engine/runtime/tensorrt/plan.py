# SPDX-License-Identifier: Apache-2.0
"""The plan of an engine: which kernels TensorRT runs, and with what tensors, as its builder tells in its log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_LAYER = re.compile(r"Name: (.*?), LayerType: (\w+), Inputs: \[(.*?)\], Outputs: \[(.*?)\](?:, |$)(?=\w+:|$)(.*)")
_TENSOR = re.compile(r"\{ Name: (.*?), Dimensions: \[([-\d,]*)\], Format/Datatype: (.*?) \}")


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor between kernels; sizes that the input's shapes decide are -1."""

    name: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class Kernel:
    """One step of the plan."""

    name: str
    kind: str
    inputs: tuple[PlannedTensor, ...]
    outputs: tuple[PlannedTensor, ...]
    rest: str


def read_plan(log: str) -> list[Kernel]:
    """All kernels, in the order of the log."""
    return [
        Kernel(match[1], match[2], _tensors(match[3]), _tensors(match[4]), match[5])
        for match in map(_LAYER.search, log.splitlines())
        if match
    ]


def _tensors(text: str) -> tuple[PlannedTensor, ...]:
    found = _TENSOR.findall(text)
    return tuple(
        PlannedTensor(name, tuple(map(int, filter(None, shape.split(",")))), kind) for name, shape, kind in found
    )


def weight_bytes(graph: Path) -> int:
    """Bytes of an ONNX file's weights, those in other files included."""
    import onnx

    model = onnx.load(graph, load_external_data=False)
    total = 0
    for tensor in model.graph.initializer:
        total += tensor.ByteSize()
    return total
