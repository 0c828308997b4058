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

_MAX_TILES = 1024  # no real bound: the exporter wants one
_FOLDED_BYTES = 64 << 20  # the sum of the mask kernel's channels is a constant of at most some MiB


class _TileEncoder(nn.Module):
    def __init__(self, model: GarModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, mask_values: Tensor) -> Tensor:
        return self.model.encode_tiles(pixel_values, mask_values)


def write_vision(path: Path, model: GarModel) -> None:
    """Writes the graph: `pixel_values` [T, 3, S, S], `mask_values` [T, 1, S, S] -> `image_features` [T, g*g, H].

    All of the type of the model's parameters; norms and softmax are computed in float32 whatever that is. The decoder's
    parameters are not touched and may be on the meta device.
    """
    side, dtype = model.config.tile, model.mask_patch_embedding.weight.dtype
    tiles = torch.export.Dim("tiles", min=1, max=_MAX_TILES)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about names of axes and about internals of the exporter
        program = torch.onnx.export(
            _TileEncoder(model).eval(),
            (torch.zeros(2, 3, side, side, dtype=dtype), torch.zeros(2, 1, side, side, dtype=dtype)),
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
    """Rewrites the graph without its weights: stripped, and in half precision with softmax in float32."""
    model = onnx.load(path, load_external_data=False)
    _strip(model)
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
