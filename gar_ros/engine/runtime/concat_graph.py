# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph that joins its inputs, for runtimes that copy on their device only by running graphs."""

from __future__ import annotations

import numpy as np

JOINED = "joined"
"""Name of the output."""

_TYPES = {"float32": 1, "float16": 10}  # of onnx.TensorProto
_INT = 2  # of onnx.AttributeProto
_IR_VERSION, _OPSET = 9, 18


def input_names(count: int) -> list[str]:
    """Of a graph with so many inputs."""
    return [f"part{number}" for number in range(count)]


def concat_graph(count: int, dtype: np.dtype) -> bytes:
    """A serialised ModelProto: `count` inputs of any shape joined along their first axis. dtype: float32 or float16.

    Written by hand, since the package onnx is not needed to run models.
    """
    kind = _TYPES[dtype.name]
    names = input_names(count)
    axis = _text(1, "axis") + _number(3, 0) + _number(20, _INT)
    node = b"".join(_text(1, name) for name in names) + _text(2, JOINED) + _text(4, "Concat") + _message(5, axis)
    graph = _message(1, node) + _text(2, "join")
    graph += b"".join(_message(11, _tensor(name, kind)) for name in names) + _message(12, _tensor(JOINED, kind))
    return _number(1, _IR_VERSION) + _message(7, graph) + _message(8, _text(1, "") + _number(2, _OPSET))


def _tensor(name: str, kind: int) -> bytes:
    """A ValueInfoProto."""
    return _text(1, name) + _message(2, _message(1, _number(1, kind)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Protocol Buffers' way to write whole numbers: seven bits a byte, the lowest first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
