# SPDX-License-Identifier: Apache-2.0
"""A small builder for ONNX graphs written node by node from weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18  # what ONNX Runtime's CPU and CUDA providers, TensorRT 10 and TensorRT-RTX take alike
IR_VERSION = 9
BLOCKS_OPSET = 21  # the first with numbers of 4 bits, and with DequantizeLinear by blocks
EXTERNAL_DATA_BYTES = 256 << 20  # larger graphs keep their weights in a file beside: protobuf ends at 2 GiB

MICROSOFT = "com.microsoft"  # ONNX Runtime's own operators
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
ALIGNMENT = 4096  # bytes; the page size, so that weights can be memory-mapped


class GraphBuilder:
    """Collects inputs, constants and nodes in order, then writes one model file.

    With `external` the constants' data goes to `<file>.data` as they are added, so memory holds one of them at a time.
    Values are referred to by name; the same calls give the same bytes.
    """

    def __init__(self, name: str, path: Path, external: bool = False, opset: int = OPSET) -> None:
        self._name = name
        self._opset = opset
        self._path = path
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._data_path = path.with_name(path.name + ".data")
        self._data = self._data_path.open("wb") if external else None

    def input(self, name: str, dtype: DTypeLike, shape: Sequence[int | str]) -> str:
        """Declares a graph input; strings are dynamic dimensions."""
        self._inputs.append(helper.make_tensor_value_info(name, element_type(dtype), shape))
        return name

    def output(self, name: str, dtype: DTypeLike, shape: Sequence[int | str]) -> None:
        """Declares a value as graph output."""
        self._outputs.append(helper.make_tensor_value_info(name, element_type(dtype), shape))

    def weight(self, name: str, array: NDArray) -> str:
        """A named constant of the model; its data may go to the external file."""
        return self._store(name, element_type(array.dtype), array.shape, np.ascontiguousarray(array))

    def int4_weight(self, name: str, numbers: NDArray[np.int8]) -> str:
        """A named constant of the model of 4 bits a number. numbers: -8 to 7, of any shape."""
        self.require_opset(BLOCKS_OPSET)
        return self._store(name, int(TensorProto.INT4), numbers.shape, packed_int4(numbers))

    def require_opset(self, opset: int) -> None:
        """Makes it a graph of at least this opset."""
        self._opset = max(self._opset, opset)

    def weight_in(self, name: str, file: str, offset: int, dtype: DTypeLike, shape: Sequence[int]) -> str:
        """A named constant whose data is in another file of the same folder, from the byte `offset` on."""
        self._refer(name, element_type(dtype), shape, file, offset, int(np.prod(shape)) * np.dtype(dtype).itemsize)
        return name

    def _store(self, name: str, element: int, shape: Sequence[int], content: NDArray) -> str:
        """content: contiguous; its bytes are those of the tensor."""
        if name in self._constants:
            raise ValueError(f"the graph has a constant '{name}' already")
        if self._data is None:
            self._constants[name] = TensorProto(name=name, dims=shape, data_type=element, raw_data=content.tobytes())
            return name
        self._data.write(b"\0" * (-self._data.tell() % ALIGNMENT))
        self._refer(name, element, shape, self._data_path.name, self._data.tell(), content.nbytes)
        content.reshape(-1).view(np.uint8).tofile(self._data)
        return name

    def _refer(self, name: str, element: int, shape: Sequence[int], file: str, offset: int, length: int) -> None:
        tensor = TensorProto(name=name, dims=shape, data_type=element)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", file), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        self._constants[name] = tensor

    def const(self, value: Any, dtype: DTypeLike = np.int64) -> str:
        """A small constant such as a shape or a scale; equal ones are stored once."""
        array = np.asarray(value, dtype)
        name = (
            f"const.{array.dtype.name}.{'x'.join(map(str, array.shape))}.{'_'.join(map(str, array.ravel().tolist()))}"
        )
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def op(self, kind: str, *inputs: str, out: str | None = None, **attributes: Any) -> str:
        """Adds a node with one output and gives that output's name. `domain` is an attribute too."""
        return self.split_op(kind, *inputs, outputs=[out or f"{kind}_{len(self._nodes)}"], **attributes)[0]

    def split_op(self, kind: str, *inputs: str, outputs: Sequence[str], **attributes: Any) -> list[str]:
        """Adds a node with several named outputs."""
        node = helper.make_node(kind, inputs, outputs, name=f"{kind}_{len(self._nodes)}", **attributes)
        self._nodes.append(node)
        return list(outputs)

    def save(self) -> None:
        """Writes the model file (and closes the external data)."""
        if self._data is not None:
            self._data.close()
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid("", self._opset)]
        ir_version = max(IR_VERSION, helper.find_min_ir_version_for(opsets))
        if any(node.domain == MICROSOFT for node in self._nodes):
            opsets.append(helper.make_opsetid(MICROSOFT, 1))
        model = helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)
        self._path.write_bytes(model.SerializeToString(deterministic=True))


def element_type(dtype: DTypeLike) -> int:
    """ONNX's number for a NumPy dtype."""
    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def packed_int4(numbers: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Two numbers of -8 to 7 a byte, in the order of their memory, the lower half first, as ONNX stores them."""
    flat = np.ascontiguousarray(numbers).reshape(-1).view(np.uint8)
    flat = np.pad(flat, (0, flat.size % 2))
    packed: NDArray[np.uint8] = flat[::2] & np.uint8(15) | flat[1::2] << np.uint8(4)
    return packed
