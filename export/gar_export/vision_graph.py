# SPDX-License-Identifier: Apache-2.0
"""vision.onnx: tiles and their masks -> image features, exported from the torch model."""

from __future__ import annotations

import warnings
from pathlib import Path

import onnx
import torch
from onnx import TensorProto
from onnxscript import optimizer
from torch import Tensor, nn

from gar_export.graph import EXTERNAL_DATA_BYTES, OPSET
from gar_export.model import GarModel
from gar_ros.engine.tiling import shift_and_scale

_MAX_TILES = 1024  # no real bound: the exporter wants one
_FOLDED_BYTES = 64 << 20  # the sum of the mask kernel's channels is a constant of at most some MiB


class _TileEncoder(nn.Module):
    """Normalises as `tiling.normalise` does, in float32 whatever the model's type: to the last bit the same numbers."""

    shift: Tensor
    scale: Tensor

    def __init__(self, model: GarModel) -> None:
        super().__init__()
        self.model = model
        shift, scale = shift_and_scale(model.config.mean, model.config.std)
        self.register_buffer("shift", torch.from_numpy(shift))
        self.register_buffer("scale", torch.from_numpy(scale))

    def forward(self, pixel_values: Tensor, mask_values: Tensor) -> Tensor:
        dtype = self.model.mask_patch_embedding.weight.dtype
        values = (pixel_values.to(torch.float32) - self.shift) / self.scale
        return self.model.encode_tiles(values.to(dtype), mask_values.to(dtype))


def write_vision(path: Path, model: GarModel) -> None:
    """Writes the graph: `pixel_values` [T, 3, S, S], `mask_values` [T, 1, S, S] -> `image_features` [T, g*g, H].

    Pixels and masks are uint8, 0..255 and 0 or 1: a quarter of the bytes of float32 on the way to a GPU. All else is of
    the type of the model's parameters; norms and softmax are computed in float32 whatever that is. The decoder's
    parameters are not touched and may be on the meta device.
    """
    side, dtype = model.config.tile, model.mask_patch_embedding.weight.dtype
    tiles = torch.export.Dim("tiles", min=1, max=_MAX_TILES)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about names of axes and about internals of the exporter
        program = torch.onnx.export(
            _TileEncoder(model).eval(),
            tuple(torch.zeros(2, channels, side, side, dtype=torch.uint8) for channels in (3, 1)),
            dynamo=True,
            opset_version=OPSET,
            input_names=["pixel_values", "mask_values"],
            output_names=["image_features"],
            dynamic_shapes=({0: tiles}, {0: tiles}),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    optimizer.fold_constants(program.model, input_size_limit=_FOLDED_BYTES, output_size_limit=_FOLDED_BYTES)
    size = sum(value.const_value.nbytes for value in program.model.graph.initializers.values() if value.const_value)
    program.save(path, external_data=size > EXTERNAL_DATA_BYTES)
    _finish(path, half=dtype == torch.float16)


def _finish(path: Path, half: bool) -> None:
    """Rewrites the graph without its weights: stripped, inputs cast, and in half precision softmax in float32."""
    model = onnx.load(path, load_external_data=False)
    _strip(model)
    _cast_first(model.graph)
    if half:
        _softmax_in_float32(model.graph)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _strip(model: onnx.ModelProto) -> None:
    """Removes what the exporter says about itself: source paths of this machine and names of torch's internals."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]
    graph.name = "gar_vision"


def _cast_first(graph: onnx.GraphProto) -> None:
    """Lets casts alone read the graph's inputs, as TensorRT asks for uint8: a shape is that of the cast's output."""
    inputs = {value.name for value in graph.input}
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in inputs]
    floats = {node.input[0]: node.output[0] for node in casts}
    others = [node for node in graph.node if node not in casts]
    for node in others:
        node.input[:] = [floats.get(name, name) for name in node.input]
    del graph.node[:]
    graph.node.extend([*casts, *others])


def _softmax_in_float32(graph: onnx.GraphProto) -> None:
    """Puts each softmax between two casts. Norms need none: LayerNormalization computes in float32 by definition."""
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type != "Softmax":
            graph.node.append(node)
            continue
        scores, probabilities = node.input[0], node.output[0]
        node.input[0], node.output[0] = f"{scores}.float", f"{probabilities}.float"
        graph.node.append(onnx.helper.make_node("Cast", [scores], [node.input[0]], to=TensorProto.FLOAT))
        graph.node.append(node)
        graph.node.append(onnx.helper.make_node("Cast", [node.output[0]], [probabilities], to=TensorProto.FLOAT16))
