# SPDX-License-Identifier: Apache-2.0
"""The files with weights that an ONNX graph names, read from its bytes: what ONNX Runtime would open beside it.

Only messages and fields on the way to those names are followed; the numbers are those of onnx.proto. Everything else,
weights among it, is skipped unread.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "entry": {1: "key", 2: "value"},
}
"""Message -> field number -> message that the field holds."""
_DEEPEST = 100


def external_files(graph: Path) -> set[str]:
    """The locations of all external data of a graph file, as written there. Raises OSError; ValueError for a file that
    is no ONNX graph."""
    with graph.open("rb") as file:
        if graph.stat().st_size == 0:
            raise ValueError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            return set(_locations(view, 0, len(view), "model", 0))


def _locations(view: memoryview, start: int, end: int, message: str, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        raise ValueError(f"its messages are nested more than {_DEEPEST} levels deep")
    known = _FIELDS[message]
    entry = {"key": b"", "value": b""}
    for number, first, last in _fields(view, start, end):
        inner = known.get(number)
        if inner in entry:
            entry[inner] = bytes(view[first:last])
        elif inner is not None:
            yield from _locations(view, first, last, inner, depth + 1)
    if message == "entry" and entry["key"] == b"location":
        yield entry["value"].decode("utf-8", "backslashreplace")


def _fields(view: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, start and end of each field with a length."""
    while start < end:
        tag, start = _varint(view, start, end)
        kind = tag & 7
        if kind == _VARINT:
            _, start = _varint(view, start, end)
        elif kind == _BYTES:
            length, start = _varint(view, start, end)
            if length > end - start:
                raise ValueError("it is cut off")
            yield tag >> 3, start, start + length
            start += length
        elif kind in (_FIXED64, _FIXED32):
            start += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("it is no ONNX graph")


def _varint(view: memoryview, start: int, end: int) -> tuple[int, int]:
    """A number of 1 to 10 bytes, and where it ends."""
    value = 0
    for index in range(start, min(end, start + 10)):
        value |= (view[index] & 0x7F) << 7 * (index - start)
        if view[index] < 0x80:
            return value, index + 1
    raise ValueError("it is cut off or no ONNX graph")
