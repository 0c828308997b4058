# SPDX-License-Identifier: Apache-2.0
"""The largest absolute activation of each tensor of a model's graphs, while it is asked: does float16 hold them?

The graphs get outputs that tell it. What is float32 in every export (sums of squares, masks, softmax, RoPE's angles,
what comes after the logits) is left out.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from gar_export.bfloat16 import write_for_the_cpu
from gar_export.graph import MICROSOFT
from gar_export.synthetic import QUESTION, synthetic_image
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.runtime.ort import OrtRunner
from gar_ros.engine.runtime.protocol import DeviceTensor, join_on_host
from gar_ros.region import Region

LIMIT = 65504.0
"""The largest number of float16."""

SHOWN = 20
_TOKENS = 16
_PREFIX = "model.mllm.model."
_FREQUENCIES = "rope.inv_freq"
_TILES = 4
_LARGEST = ".largest"
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
_MASK_OR_MEAN = ("Where", "ReduceMean")  # of squares; what is added to either stays in float32, too
_AFTER_LOGITS = "ReduceMax"
_AT_MOST_ONE = ("Cos", "Sin", "Softmax", "Sigmoid", "Erf", "Sqrt")
_COPIES = (
    "Cast",
    "Concat",
    "Expand",
    "Gather",
    "Neg",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
"""Operators whose outputs are as large as their inputs."""


@dataclass(frozen=True)
class Activation:
    """One tensor. near: the weights that it comes from, the last ones before it, or its input. largest: infinite where
    it overflowed."""

    graph: str
    tensor: str
    operator: str
    near: str
    largest: float

    @property
    def share(self) -> float:
        """Of float16's largest number."""
        return self.largest / LIMIT


def largest_activations(
    model_dir: str | Path, threads: int = 0, images: Sequence[NDArray[np.uint8]] = ()
) -> list[Activation]:
    """Of all tensors of a folder's graphs, the largest first, while questions are asked and regions described.

    images: RGB (H, W, 3), asked about in turn, each with its left and its right half as regions; a synthetic one where
    there are none. Raises GarError BAD_MODEL.
    """
    model = ModelDir.open(model_dir)
    with tempfile.TemporaryDirectory() as folder:
        if "bfloat16" in model.manifest.dtypes.values():
            write_for_the_cpu(model.path, Path(folder) / "model")
            model = ModelDir.open(Path(folder) / "model")
        runtime = _Watching(threads)
        engine = GarEngine(model, runtime)
        for image, regions in [_halves(image) for image in images] or [synthetic_image(model.manifest.sizes)]:
            tiles = min(model.manifest.tiles.max_tiles, _TILES)
            engine.encode(image, regions, tiles).ask(QUESTION, max_tokens=_TOKENS)
            engine.encode(image, regions[:1], tiles).describe(max_tokens=_TOKENS)
        return sorted(runtime.activations(), key=lambda one: (-_order(one.largest), one.graph, one.tensor))


def _halves(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], list[Region]]:
    """An image with its left and its right half as regions."""
    left = np.zeros(image.shape[:2], np.bool_)
    left[:, : image.shape[1] // 2] = True
    return image, [Region.from_mask("left", left), Region.from_mask("right", ~left)]


def as_text(activations: Sequence[Activation]) -> str:
    """A table of the largest ones."""
    lines = [f"{'of 65504':>8} {'largest':>10}  {'graph':12} {'operator':18} at or after"]
    lines += [
        f"{one.share:8.2%} {one.largest:10.4g}  {one.graph:12} {one.operator:18} {one.near}"
        for one in activations[:SHOWN]
    ]
    beyond = sum(not one.largest <= LIMIT for one in activations)
    return "\n".join([*lines, f"{len(activations)} tensors, {beyond} of them beyond float16's largest number"]) + "\n"


def as_json(activations: Sequence[Activation], model: str) -> str:
    """All of them. A number that is not finite is a text, which JSON has no number for."""
    tensors: list[dict[str, Any]] = [
        {**asdict(one), "largest": one.largest if math.isfinite(one.largest) else str(one.largest)}
        for one in activations
    ]
    return json.dumps({"model": model, "limit": LIMIT, "tensors": tensors}, indent=1) + "\n"


class _Watching:
    """A runtime on the CPU whose graphs tell their largest activations."""

    provider = "cpu"

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._runners: list[_WatchedRunner] = []

    def load(self, graph: Path) -> _WatchedRunner:
        """See Runtime."""
        model = onnx.load(graph, load_external_data=False)
        watched = {f"{number}{_LARGEST}": found for number, found in enumerate(_activations(model, graph.name))}
        for output, found in watched.items():
            steps: list[tuple[str, dict[str, Any]]] = [
                ("Cast", {"to": TensorProto.FLOAT}),
                ("Abs", {}),
                ("ReduceMax", {"keepdims": 0}),
            ]
            source = found.tensor
            for step, attributes in steps:
                target = output if step == "ReduceMax" else f"{output}.{step}"
                model.graph.node.append(helper.make_node(step, [source], [target], **attributes))
                source = target
            model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, []))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(graph.parent))
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._runners.append(_WatchedRunner(session, graph.name, watched))
        return self._runners[-1]

    def join(self, parts: Sequence[NDArray[Any] | DeviceTensor]) -> NDArray[np.float32]:
        """See Runtime."""
        return join_on_host(parts)

    def on_full(self, forget: Callable[[], object]) -> None:
        """See Runtime. The host's memory, which no device's caches fill."""

    def close(self) -> None:
        """See Runtime."""

    def activations(self) -> Iterator[Activation]:
        """Of all graphs that were run."""
        for runner in self._runners:
            yield from runner.activations()


class _WatchedRunner(OrtRunner):
    """A graph on the CPU with outputs that tell the largest activations."""

    def __init__(self, session: Any, graph: str, watched: Mapping[str, Activation]) -> None:
        """watched: by the names of the outputs that tell the largest."""
        super().__init__(session, "cpu", graph)
        self._watched = watched
        self._largest: dict[str, float] = {}

    def run_in_place(
        self, feeds: Mapping[str, NDArray[Any] | DeviceTensor], written: Mapping[str, str]
    ) -> dict[str, DeviceTensor]:
        """See InPlaceRunner; `run` comes here, too."""
        outputs = super().run_in_place(feeds, written)
        for name in self._watched:
            largest = float(outputs.pop(name).numpy())
            self._largest[name] = max(self._largest.get(name, 0.0), largest, key=_order)
        return outputs

    def activations(self) -> Iterator[Activation]:
        """What the runs so far told."""
        for name, largest in self._largest.items():
            found = self._watched[name]
            yield Activation(found.graph, found.tensor, found.operator, found.near, largest)


def _order(value: float) -> float:
    """NaN counts as larger than any number."""
    return math.inf if math.isnan(value) else value


def _activations(model: onnx.ModelProto, name: str) -> Iterator[Activation]:
    """The tensors to watch, in order of the graph; largest is 0."""
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    types = _types(model)
    near: dict[str, str] = {}
    kept: set[str] = set()  # values that are float32 in every export
    tail: set[str] = set()
    for node in graph.node:
        own = [word for word in node.input if word in constants and "." in word and not word.startswith("const.")]
        before = [near[word] for word in node.input if near.get(word)]
        angles = _FREQUENCIES in own
        label = next(iter([*own, *before[-1:]]), "").removeprefix(_PREFIX) if not angles else ""
        near.update(dict.fromkeys(node.output, label))
        square = node.op_type == "Mul" and len(set(node.input)) == 1
        added = node.op_type == "Add" and not kept.isdisjoint(node.input)
        if node.op_type == _AFTER_LOGITS or not tail.isdisjoint(node.input):
            tail.update(node.output)
            continue
        if angles or square or added or node.op_type in _MASK_OR_MEAN:
            kept.update(node.output)
        if node.op_type in (*_COPIES, *_AT_MOST_ONE) or set(node.input) <= constants:
            continue
        for output in node.output:
            if types.get(output) in _FLOATS and output not in kept:
                yield Activation(name, output, node.op_type, label or node.input[0], 0.0)


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Element types of a model's values."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        if node.domain == MICROSOFT:  # unknown to ONNX's inference: MatMulNBits, whose output is float32
            copy.graph.value_info.append(helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, None))
    inferred = onnx.shape_inference.infer_shapes(copy).graph
    values = (*inferred.value_info, *inferred.output, *inferred.input)
    return {value.name: value.type.tensor_type.elem_type for value in values}
