# SPDX-License-Identifier: Apache-2.0
"""Weights of few bits in the vision graph: the products of its linear layers become MatMulNBits, all else stays.

Patch embedding, mask embedding, attention, norms and biases compute in float32. ONNX Runtime and OpenVINO both have
integer products for this form, and round each activation by blocks of its own row: one large activation costs precision
in its block alone. One scale for a whole tensor, as DynamicQuantizeLinear makes it, would cost it in every token.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from gar_export.graph import EXTERNAL_DATA_BYTES, MICROSOFT
from gar_export.quantise import quantise

_IN_THE_GRAPH = 1024  # bytes; smaller constants stay there where others go to a file


def quantise_vision(path: Path, bits: int) -> None:
    """Rewrites the float32 graph `path`, and the file of its weights, with weights of `bits` bits."""
    model = onnx.load(path)
    data = path.with_name(path.name + ".data")
    data.unlink(missing_ok=True)
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(linear_layers(graph)):
        name = node.input[1]
        rows = np.ascontiguousarray(numpy_helper.to_array(constants.pop(name)).T)  # [out, in]
        stored = quantise(rows, bits)
        numbers, scales = f"{name}.int{bits}", f"{name}.scales"
        constants[numbers] = numpy_helper.from_array(stored.packed, numbers)
        constants[scales] = numpy_helper.from_array(stored.scales, scales)
        inputs, attributes = [node.input[0], numbers, scales], stored.attributes
        node.CopyFrom(helper.make_node("MatMulNBits", inputs, node.output, node.name, domain=MICROSOFT, **attributes))
    kept = list(constants.values())
    del graph.initializer[:]
    graph.initializer.extend(kept)
    model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    external = model.ByteSize() > EXTERNAL_DATA_BYTES
    location = data.name if external else None
    onnx.save(model, path, save_as_external_data=external, location=location, size_threshold=_IN_THE_GRAPH)


def linear_layers(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The products of activations and a constant matrix [in, out]."""
    constants = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            yield node
