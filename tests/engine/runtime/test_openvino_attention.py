# SPDX-License-Identifier: Apache-2.0
"""Attention over a cache of two parts, as exported and as OpenVINO gets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from gar_ros.engine.runtime.openvino import find_openvino
from gar_ros.engine.runtime.openvino_attention import fuse_attention

KH, G, D = 2, 3, 4
"""Heads of keys, query heads for each of them, and the width of a head."""

SHAPES: dict[str, list[int | str]] = {
    "query": ["batch", KH, G, "new", D],
    "past_keys": [1, KH, 1, "settled", D],
    "past_values": [1, KH, 1, "settled", D],
    "keys": ["batch", KH, 1, "total", D],
    "values": ["batch", KH, 1, "total", D],
    "mask": ["batch", 1, 1, "new", "total"],
}


def write_attention(path: Path) -> None:
    """A graph that is one layer's attention in the exported form."""
    node = helper.make_node
    nodes = [
        node("Transpose", ["past_keys"], ["past_turned"], perm=[0, 1, 2, 4, 3]),
        node("Transpose", ["keys"], ["turned"], perm=[0, 1, 2, 4, 3]),
        node("MatMul", ["query", "past_turned"], ["settled"]),
        node("MatMul", ["query", "turned"], ["unmasked"]),
        node("Add", ["unmasked", "mask"], ["recent"]),
        node("Concat", ["settled", "recent"], ["scores"], axis=-1),
        node("Softmax", ["scores"], ["probabilities"], axis=-1),
        node("Shape", ["past_keys"], ["first"], start=3, end=4),
        node("Shape", ["keys"], ["second"], start=3, end=4),
        node("Concat", ["first", "second"], ["parts"], axis=0),
        node("Split", ["probabilities", "parts"], ["of_settled", "of_recent"], axis=-1),
        node("MatMul", ["of_settled", "past_values"], ["from_settled"]),
        node("MatMul", ["of_recent", "values"], ["from_recent"]),
        node("Add", ["from_settled", "from_recent"], ["mixed"]),
    ]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in SHAPES.items()]
    output = helper.make_tensor_value_info("mixed", TensorProto.FLOAT, SHAPES["query"])
    graph = helper.make_graph(nodes, "attention", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)


def feeds(batch: int, settled: int, recent: int, new: int) -> dict[str, NDArray[np.float32]]:
    """Any values, and the mask: of the positions of the recent part, a new token sees those up to its own."""
    sizes = {"batch": batch, "settled": settled, "total": recent + new, "new": new}
    generator = np.random.default_rng(0)
    shapes = {
        name: [size if isinstance(size, int) else sizes[size] for size in shape] for name, shape in SHAPES.items()
    }
    values = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    hidden = np.arange(recent + new) > recent + np.arange(new)[:, None]
    return values | {"mask": np.broadcast_to(np.where(hidden, np.float32(-1e9), 0), shapes["mask"]).copy()}


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(("settled", "recent", "new"), [(0, 0, 5), (0, 3, 1), (7, 0, 2), (7, 3, 5), (1, 1, 1)])
def test_it_attends_as_the_exported_graph_does(tmp_path: Path, batch: int, settled: int, recent: int, new: int) -> None:
    write_attention(tmp_path / "attention.onnx")
    inputs = feeds(batch, settled, recent, new)
    session = onnxruntime.InferenceSession(tmp_path / "attention.onnx", providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, inputs)
    openvino = find_openvino()
    model = openvino.Core().read_model(str(tmp_path / "attention.onnx"))
    assert fuse_attention(openvino, model) == 1
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    assert "Softmax" not in kinds
    assert "ScaledDotProductAttention" in kinds
    compiled: Any = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    np.testing.assert_allclose(compiled(inputs)[0], expected, atol=1e-5)


def test_another_graph_stays_as_it_is(tmp_path: Path) -> None:
    """Its softmax is over something else, so it isn't this attention."""
    path = tmp_path / "other.onnx"
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"], axis=-1)], "other", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    openvino = find_openvino()
    model = openvino.Core().read_model(str(path))
    assert fuse_attention(openvino, model) == 0
    assert "Softmax" in [node.get_type_name() for node in model.get_ordered_ops()]
