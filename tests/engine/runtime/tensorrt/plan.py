# SPDX-License-Identifier: Apache-2.0
"""The plan of an engine: which kernels TensorRT runs in each profile, with what tensors, as its builder's log tells.

TensorRT for RTX builds without a GPU, so plans can be read where nothing can be run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.runtime.tensorrt.builder import BuildOptions, build_engine
from gar_ros.engine.runtime.tensorrt.installed import rtx_for
from gar_ros.engine.runtime.tensorrt.profiles import Profile, graph_profiles

TARGET = "SM86"
"""Jetson Orin's GPU is SM87, which TensorRT for RTX doesn't build for."""

_LAYER = re.compile(
    r"Name: (.*?), LayerType: (\w+), Inputs: \[(.*?)\], (?:Constants: \[.*?\], )?Outputs: \[(.*?)\], TacticName: "
)
_TENSOR = re.compile(r"\{ Name: (.*?), Dimensions: \[([-\d,]*)\]")
_PART, _PROFILE = re.compile(r"_myl(\d+)_\d+$"), re.compile(r"\[profile (\d+)\]")
_NO_WORK = ("shape_call", "signal", "wait")


@dataclass(frozen=True)
class PlannedTensor:
    """A tensor that kernels read or write; sizes that differ from run to run are -1."""

    name: str
    shape: tuple[int, ...]

    @property
    def width(self) -> int:
        """Elements for each token, position or tile: the product of the sizes that are fixed."""
        return math.prod(size for size in self.shape if size >= 0)


@dataclass(frozen=True)
class Kernel:
    """One step of a plan."""

    name: str
    inputs: tuple[PlannedTensor, ...]
    outputs: tuple[PlannedTensor, ...]

    @property
    def is_attention(self) -> bool:
        """Whether it is a whole attention: products, softmax and all, without scores in memory."""
        return "_mha_" in self.name


@dataclass(frozen=True)
class Plan:
    """What one profile runs."""

    kernels: tuple[Kernel, ...]
    scratch_bytes: int

    def attentions(self) -> list[Kernel]:
        """Kernels that are a whole attention."""
        return [kernel for kernel in self.kernels if kernel.is_attention]

    def readers(self, tensor: str) -> list[Kernel]:
        """Kernels that read a tensor of this name."""
        return [kernel for kernel in self.kernels if any(tensor == value.name for value in kernel.inputs)]


@dataclass(frozen=True)
class BuiltPlan:
    """An engine's size and plans."""

    engine_bytes: int
    profiles: tuple[Plan, ...]


def build_plan(model: ModelDir, graph: str, log: Path, profiles: Sequence[Profile] | None = None) -> BuiltPlan:
    """Builds the engine of a model folder's graph for TARGET, and reads its plan.

    log: a new file for what the builder says. profiles: those of the folder's manifest when None.
    """
    profiles = graph_profiles(model.manifest)[graph] if profiles is None else profiles
    engine = build_engine(rtx_for(TARGET), model.file(graph), profiles, BuildOptions(plan=True), log, lambda _: None)
    return BuiltPlan(engine.nbytes, read_plans(log.read_text()))


def read_plans(log: str) -> tuple[Plan, ...]:
    """The plan of each profile."""
    scratch = [int(size) for size in re.findall(r"Total Activation Memory: (\d+) bytes", log)]
    parts: dict[str, list[Kernel]] = {}  # of the engine, each made for one profile
    profile_of: dict[str, int] = {}
    for name, kind, inputs, outputs in _LAYER.findall(log):
        part = _PART.search(name)
        number = part[1] if part else ""
        if named := _PROFILE.search(f"{name} {inputs} {outputs}"):
            profile_of[number] = int(named[1])
        if kind not in _NO_WORK:
            parts.setdefault(number, []).append(Kernel(name, _tensors(inputs), _tensors(outputs)))
    kernels: list[list[Kernel]] = [[] for _ in scratch]
    for number, found in parts.items():
        kernels[profile_of.get(number, 0)] += found
    return tuple(Plan(tuple(found), size) for found, size in zip(kernels, scratch, strict=True))


def _tensors(text: str) -> tuple[PlannedTensor, ...]:
    return tuple(
        PlannedTensor(_PROFILE.sub("", name).strip(), tuple(int(size) for size in shape.split(",") if size))
        for name, shape in _TENSOR.findall(text)
    )


def attentions_in(graph: Path) -> int:
    """Number of attentions in an ONNX file."""
    nodes = onnx.load(graph, load_external_data=False).graph.node
    return sum(node.op_type in ("Softmax", "Attention") for node in nodes)


def weight_bytes(graph: Path) -> int:
    """Bytes of an ONNX file's weights, wherever they are."""
    weights = onnx.load(graph, load_external_data=False).graph.initializer
    return sum(math.prod(weight.dims) * _bits(weight.data_type) // 8 for weight in weights)


def _bits(kind: int) -> int:
    four = (onnx.TensorProto.INT4, onnx.TensorProto.UINT4)
    return 4 if kind in four else 8 * onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize
