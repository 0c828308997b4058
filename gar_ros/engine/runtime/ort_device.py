# SPDX-License-Identifier: Apache-2.0
"""Arrays that ONNX Runtime keeps on a device: given to its graphs, and joined, without a way through the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import DTypeLike, NDArray

from gar_ros.engine.runtime.concat_graph import JOINED, concat_graph, input_names
from gar_ros.engine.runtime.sliced import Sliced

_NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int64)": np.int64}


class OrtArray(Sliced):
    """A contiguous array on a device of ONNX Runtime's (see DeviceTensor). Slices are views that keep its memory."""

    def __init__(self, value: ort.OrtValue, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """offset: bytes from the value's begin."""
        super().__init__(offset, shape, dtype)
        self._value = value

    @staticmethod
    def whole(value: ort.OrtValue) -> OrtArray:
        """All of a value."""
        return OrtArray(value, 0, tuple(value.shape()), np.dtype(_NUMPY[value.data_type()]))

    def part(self, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> OrtArray:
        """See Sliced."""
        return OrtArray(self._value, self._offset + offset, shape, dtype)

    def numpy(self) -> NDArray[Any]:
        """See DeviceTensor. Of a slice, all that it was cut from is copied to the host."""
        flat = self._value.numpy().reshape(-1).view(np.uint8)
        return flat[self._offset :][: self.nbytes].view(self.dtype).reshape(self.shape)

    def bind_input(self, binding: ort.IOBinding, name: str, device: str) -> None:
        """Hands it to the next run, in place. It must be kept until that has ended. device: as in `OrtDevice`."""
        address = self._value.data_ptr() + self._offset
        binding.bind_input(name, device, 0, self.dtype.type, self.shape, address)

    def bind_output(self, binding: ort.IOBinding, name: str, device: str) -> None:
        """Has the next run write an output over it. device: as in `OrtDevice`."""
        address = self._value.data_ptr() + self._offset
        binding.bind_output(name, device, 0, self.dtype.type, self.shape, address)


class OrtDevice:
    """Makes and joins arrays on one device. Sessions wait for it at the end of each run, so that all is in order."""

    def __init__(self, name: str, open_session: Callable[[bytes], ort.InferenceSession]) -> None:
        """name: "cuda", or "cpu" for tests. open_session: a session on the device for a serialised graph."""
        self.name = name
        self._open = open_session
        self._joins: dict[tuple[int, np.dtype], ort.InferenceSession] = {}

    def upload(self, values: NDArray[Any], dtype: DTypeLike) -> OrtArray:
        """A copy of a host array, cast to `dtype`."""
        array = np.ascontiguousarray(values, dtype)
        return OrtArray.whole(ort.OrtValue.ortvalue_from_numpy(array, self.name, 0))

    def join(self, parts: Sequence[NDArray[Any] | OrtArray]) -> OrtArray:
        """The rows of all parts one after another, in the type of those on the device, which stay there."""
        kinds = {part.dtype for part in parts if isinstance(part, OrtArray)} or {np.dtype(np.float32)}
        if len(kinds) > 1:
            raise ValueError(f"expected rows of one type, got {kinds}")
        (kind,) = kinds
        placed = [part if isinstance(part, OrtArray) else self.upload(part, kind) for part in parts if len(part)]
        if not placed:
            return self.upload(np.empty(parts[0].shape), kind)
        return self._run(placed, None)

    def copy_positions(self, source: OrtArray, target: OrtArray, count: int) -> None:
        """Copies the first `count` along the last axis but one, between arrays (1, heads, positions, head_dim)."""
        for old, new in zip(source[0], target[0], strict=True):
            self._run([old[:count]], new[:count])

    def _run(self, parts: Sequence[OrtArray], target: OrtArray | None) -> OrtArray:
        """The parts joined, in a new array or over `target`: ONNX Runtime copies on its device only in graphs."""
        kind = parts[0].dtype
        session = self._joins.get((len(parts), kind))
        if session is None:
            session = self._joins[len(parts), kind] = self._open(concat_graph(len(parts), kind))
        binding = session.io_binding()
        for name, part in zip(input_names(len(parts)), parts, strict=True):
            part.bind_input(binding, name, self.name)
        if target is None:
            binding.bind_output(JOINED, self.name)
        else:
            target.bind_output(binding, JOINED, self.name)
        session.run_with_iobinding(binding)
        return OrtArray.whole(binding.get_outputs()[0]) if target is None else target
