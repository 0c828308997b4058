# SPDX-License-Identifier: Apache-2.0
"""Memory of the GPU: arrays that stay there, copied in the order of one stream."""

from __future__ import annotations

import ctypes
import importlib
import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gar_ros.engine.runtime.failures import failure, first_line
from gar_ros.engine.runtime.make_room import MakeRoom
from gar_ros.errors import ErrorCode, GarError, OutOfMemoryError

_CUDA, _CUDA_DRIVER = "cuda.bindings.runtime", "cuda.bindings.driver"
_NO_DRIVER = "NVIDIA's driver, libcuda.so.1, is not found"


def cuda_runtime() -> Any:
    """CUDA's runtime from the package cuda-python. Raises GarError INVALID_REQUEST where it can't be imported."""
    try:
        return importlib.import_module(_CUDA)
    except Exception as error:  # RuntimeError where it finds no CUDA library, and whatever else its versions raise
        missing = isinstance(error, ModuleNotFoundError)
        message = f"the Python package cuda-python {'is not installed' if missing else 'does not work'}"
        message += f" ({first_line(error)})"
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
    """The first GPU that CUDA shows, as "NVIDIA Orin, SM87, 16 multiprocessors, 64 GiB".

    The name alone is not enough: that of all Orins is the same. Memory is rounded up to 4 GiB, since what the system
    keeps for itself differs a little from boot to boot. Raises GarError INVALID_REQUEST where there is no GPU.
    """
    try:
        (count,) = _checked(cudart, "cudaGetDeviceCount")
        reason = "none"
    except GarError as error:
        count, reason = 0, error.message
    if count < 1:
        if not _has_driver():  # CUDA calls that an old driver, and cuda-python before 12.9 raises
            reason = _NO_DRIVER
        raise GarError(ErrorCode.INVALID_REQUEST, f"CUDA finds no GPU ({reason})")
    (properties,) = _checked(cudart, "cudaGetDeviceProperties", 0)
    name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
    memory = -(-int(properties.totalGlobalMem) // (4 << 30)) * 4
    capability = f"SM{properties.major}{properties.minor}"
    return f"{name}, {capability}, {properties.multiProcessorCount} multiprocessors, {memory} GiB"


class Device:
    """One GPU with one stream: what is freed, copied and run takes effect in the order of the calls.

    So memory that a running graph reads can be freed at once. Errors are GarError INTERNAL_ERROR.
    """

    def __init__(self, cudart: Any) -> None:
        """cudart: the module cuda.bindings.runtime."""
        self._cudart = cudart
        self.make_room = MakeRoom()
        self._closed = False
        (self._stream,) = _checked(cudart, "cudaStreamCreate")
        # Old Jetsons have no pools; their cudaFree waits for the stream, which is as correct.
        (self._pooled,) = _checked(
            cudart, "cudaDeviceGetAttribute", cudart.cudaDeviceAttr.cudaDevAttrMemoryPoolsSupported, 0
        )
        if self._pooled:
            (self._pool,) = _checked(cudart, "cudaDeviceGetDefaultMemPool", 0)
            self._keep(2**64 - 1)  # else each wait gives all back

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream)

    def close(self) -> None:
        """Gives the GPU's memory back: at once what no array holds any more, and the rest with the last arrays.

        Nothing may be run or allocated afterwards. Never raises, as the GPU may be what failed.
        """
        if self._closed:
            return
        self._closed = True
        with suppress(GarError):
            if self._pooled:
                self._keep(0)
            self._trim()
        with suppress(GarError):
            _checked(self._cudart, "cudaStreamDestroy", self._stream)

    def raise_if_failed(self) -> None:
        """Waits for all that was asked of the GPU. Raises GarError for what failed of it, GpuLostError if all will."""
        _checked(self._cudart, "cudaStreamSynchronize", self._stream)

    def _keep(self, size: int) -> None:
        """So many bytes without an owner stay in the pool rather than going back to the system."""
        number = importlib.import_module(_CUDA_DRIVER).cuuint64_t(size)
        threshold = self._cudart.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold
        _checked(self._cudart, "cudaMemPoolSetAttribute", self._pool, threshold, number)

    def _trim(self) -> None:
        """What is freed goes back to the system, where TensorRT and other processes find it."""
        self.raise_if_failed()
        if self._pooled:
            _checked(self._cudart, "cudaMemPoolTrimTo", self._pool, 0)

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
        """Address of `size` bytes. Where memory is full, caches forget first. Raises OutOfMemoryError."""
        try:
            return self._allocate(size)
        except OutOfMemoryError:
            pass  # its traceback would keep what is to be freed
        self.make_room()
        self._trim()
        return self._allocate(size)

    def _allocate(self, size: int) -> int:
        if self._pooled:
            (address,) = _checked(self._cudart, "cudaMallocAsync", size, self._stream)
        else:
            (address,) = _checked(self._cudart, "cudaMalloc", size)
        return int(address)

    def free(self, address: int) -> None:
        """Gives back what `allocate` gave, once the stream gets there. Never raises: garbage collection calls it."""
        with suppress(Exception):
            if self._closed:  # the stream is gone, and all that was on it has ended
                self._cudart.cudaFree(address)
                if self._pooled:
                    self._cudart.cudaMemPoolTrimTo(self._pool, 0)
            elif self._pooled:
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
    """Calls a function of the runtime; what it returns after its status. Raises what `failure` makes of another one."""
    what = f"CUDA: {function} failed"
    try:
        status, *results = getattr(cudart, function)(*arguments)
    except (RuntimeError, AttributeError) as error:  # cuda-python before 12.9 raises where the driver lacks something
        raise failure(what, first_line(error)) from error
    if status != cudart.cudaError_t.cudaSuccess:
        raise failure(what, _reason(cudart, status), int(status))
    return tuple(results)


def _reason(cudart: Any, status: Any) -> str:
    try:
        _, text = cudart.cudaGetErrorString(status)
    except RuntimeError:
        return str(status)
    return text.decode() if isinstance(text, bytes) else str(text)
