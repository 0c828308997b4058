# SPDX-License-Identifier: Apache-2.0
"""Memory of the GPU: arrays that stay there, copied in the order of one stream."""

from __future__ import annotations

import ctypes
import importlib
import math
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gar_ros.errors import ErrorCode, GarError

_CUDA, _CUDA_DRIVER = "cuda.bindings.runtime", "cuda.bindings.driver"
_NO_DRIVER = "NVIDIA's driver, libcuda.so.1, is not found"


def cuda_runtime() -> Any:
    """CUDA's runtime from the package cuda-python. Raises GarError INVALID_REQUEST where it is not installed."""
    try:
        return importlib.import_module(_CUDA)
    except (ImportError, RuntimeError) as error:  # RuntimeError: it found no CUDA library
        message = f"the Python package cuda-python is not installed ({error})"
        if not _has_driver():
            message += f", and there is no GPU ({_NO_DRIVER})"
        raise GarError(ErrorCode.INVALID_REQUEST, message) from error


def _has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def find_gpu(cudart: Any) -> str:
    """The first GPU that CUDA shows, as "NVIDIA Orin, SM87". Raises GarError INVALID_REQUEST where there is none."""
    status, count = cudart.cudaGetDeviceCount()
    if status != cudart.cudaError_t.cudaSuccess or count < 1:
        if not _has_driver():  # CUDA calls that an old driver
            reason = _NO_DRIVER
        else:
            reason = "none" if status == cudart.cudaError_t.cudaSuccess else _reason(cudart, status)
        raise GarError(ErrorCode.INVALID_REQUEST, f"CUDA finds no GPU ({reason})")
    (properties,) = _checked(cudart, "cudaGetDeviceProperties", 0)
    name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
    return f"{name}, SM{properties.major}{properties.minor}"


class Device:
    """One GPU with one stream: what is freed, copied and run takes effect in the order of the calls.

    So memory that a running graph reads can be freed at once. Errors are GarError INTERNAL_ERROR.
    """

    def __init__(self, cudart: Any) -> None:
        """cudart: the module cuda.bindings.runtime."""
        self._cudart = cudart
        (self._stream,) = _checked(cudart, "cudaStreamCreate")
        # Old Jetsons have no pools; their cudaFree waits for the stream, which is as correct.
        (self._pooled,) = _checked(
            cudart, "cudaDeviceGetAttribute", cudart.cudaDeviceAttr.cudaDevAttrMemoryPoolsSupported, 0
        )
        if self._pooled:
            (pool,) = _checked(cudart, "cudaDeviceGetDefaultMemPool", 0)
            keep_all = importlib.import_module(_CUDA_DRIVER).cuuint64_t(2**64 - 1)  # else each wait gives all back
            threshold = cudart.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold
            _checked(cudart, "cudaMemPoolSetAttribute", pool, threshold, keep_all)

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream)

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        """An array whose values are not set."""
        kind = np.dtype(dtype)
        memory = _Memory(self, max(1, math.prod(shape) * kind.itemsize))  # even empty tensors need an address
        return DeviceArray(memory, 0, tuple(shape), kind)

    def upload(self, values: NDArray[Any]) -> DeviceArray:
        """A copy of a host array. CUDA has taken its values when this returns, so it may be changed then."""
        array = self.empty(values.shape, values.dtype)
        self._fill(array, 0, values)
        return array

    def join(self, parts: Sequence[NDArray[Any] | DeviceArray]) -> DeviceArray:
        """The rows of all parts one after another, in the type of those on the device, which stay there."""
        kinds = {part.dtype for part in parts if isinstance(part, DeviceArray)} or {parts[0].dtype}
        rows = {part.shape[1:] for part in parts}
        if len(kinds) > 1 or len(rows) > 1:
            raise ValueError(f"expected rows of one type and shape, got {kinds} {rows}")
        joined = self.empty((sum(len(part) for part in parts), *rows.pop()), kinds.pop())
        offset = 0
        for part in parts:
            offset += self._fill(joined, offset, part)
        return joined

    def _fill(self, target: DeviceArray, offset: int, part: NDArray[Any] | DeviceArray) -> int:
        """Copies `part` to byte `offset` of `target`; the number of bytes."""
        kinds = self._cudart.cudaMemcpyKind
        if isinstance(part, DeviceArray):
            source, kind = part.address, kinds.cudaMemcpyDeviceToDevice
        else:
            part = np.ascontiguousarray(part, target.dtype)
            source, kind = part.ctypes.data, kinds.cudaMemcpyHostToDevice
        if part.nbytes:
            self._copy(target.address + offset, source, part.nbytes, kind)
        return part.nbytes

    def download(self, array: DeviceArray) -> NDArray[Any]:
        """A copy on the host; waits for everything before it."""
        values = np.empty(array.shape, array.dtype)
        if values.nbytes:
            to_host = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
            self._copy(values.ctypes.data, array.address, values.nbytes, to_host)
        _checked(self._cudart, "cudaStreamSynchronize", self._stream)
        return values

    def _copy(self, target: int, source: int, size: int, kind: Any) -> None:
        _checked(self._cudart, "cudaMemcpyAsync", target, source, size, kind, self._stream)

    def allocate(self, size: int) -> int:
        """Address of `size` bytes."""
        if self._pooled:
            (address,) = _checked(self._cudart, "cudaMallocAsync", size, self._stream)
        else:
            (address,) = _checked(self._cudart, "cudaMalloc", size)
        return int(address)

    def free(self, address: int) -> None:
        """Gives back what `allocate` gave, once the stream gets there. Never raises: garbage collection calls it."""
        if self._pooled:
            self._cudart.cudaFreeAsync(address, self._stream)
        else:
            self._cudart.cudaFree(address)


class _Memory:
    """A piece of device memory, freed with the last array that is in it."""

    def __init__(self, device: Device, size: int) -> None:
        self.device = device
        self.address = device.allocate(size)
        weakref.finalize(self, device.free, self.address).atexit = False


class DeviceArray:
    """A contiguous array on the GPU (see DeviceTensor). Slices are views that keep its memory."""

    def __init__(self, memory: _Memory, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """offset: bytes from the memory's begin."""
        self._memory = memory
        self._offset = offset
        self.shape = shape
        self.dtype = dtype

    @property
    def address(self) -> int:
        """Where it begins in device memory."""
        return self._memory.address + self._offset

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[DeviceArray]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, index: int | slice | None) -> DeviceArray:
        """As NumPy along the first axis; slices without a step."""
        if index is None:
            return DeviceArray(self._memory, self._offset, (1, *self.shape), self.dtype)
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        places = range(len(self))[index]
        if isinstance(places, int):
            return DeviceArray(self._memory, self._offset + places * row, self.shape[1:], self.dtype)
        if places.step != 1:
            raise IndexError(f"expected a slice without a step, got {index}")
        return DeviceArray(self._memory, self._offset + places.start * row, (len(places), *self.shape[1:]), self.dtype)

    def numpy(self) -> NDArray[Any]:
        """See DeviceTensor."""
        return self._memory.device.download(self)


def _checked(cudart: Any, function: str, *arguments: Any) -> tuple[Any, ...]:
    """Calls a function of the runtime; what it returns after its status. Raises GarError INTERNAL_ERROR."""
    status, *results = getattr(cudart, function)(*arguments)
    if status != cudart.cudaError_t.cudaSuccess:
        raise GarError(ErrorCode.INTERNAL_ERROR, f"CUDA: {function} failed: {_reason(cudart, status)}")
    return tuple(results)


def _reason(cudart: Any, status: Any) -> str:
    _, text = cudart.cudaGetErrorString(status)
    return text.decode() if isinstance(text, bytes) else str(text)
