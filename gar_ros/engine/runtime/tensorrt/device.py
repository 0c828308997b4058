# SPDX-License-Identifier: Apache-2.0
"""Memory of the GPU: arrays that stay there, copied in the order of one stream."""

from __future__ import annotations

import ctypes
import functools
import importlib
import math
import re
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gar_ros.engine.runtime.failures import failure, first_line
from gar_ros.engine.runtime.make_room import MakeRoom
from gar_ros.engine.runtime.tensorrt.staging import Staging
from gar_ros.errors import ErrorCode, GarError, OutOfMemoryError

_CUDA, _CUDA_DRIVER = "cuda.bindings.runtime", "cuda.bindings.driver"
_NO_DRIVER = "NVIDIA's driver, libcuda.so.1, is not found"
_ALIGNMENT = 256  # bytes; what CUDA gives its own allocations at least


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
        (self._stream,) = _checked(cudart, "cudaStreamCreate")
        # Old Jetsons have no pools; their cudaFree waits for the stream, which is as correct.
        (self._pooled,) = _checked(
            cudart, "cudaDeviceGetAttribute", cudart.cudaDeviceAttr.cudaDevAttrMemoryPoolsSupported, 0
        )
        self._pool = None
        if self._pooled:
            (self._pool,) = _checked(cudart, "cudaDeviceGetDefaultMemPool", 0)
            self._keep(2**64 - 1)  # else each wait gives all back
        self._staging = Staging(cudart, functools.partial(_checked, cudart), self._stream, _waiting_stops_threads())
        self._release = weakref.finalize(self, _release, cudart, self._stream, self._staging, self._pool)
        self._release.atexit = False

    def close(self) -> None:
        """Gives back stream, pinned memory and what the GPU's pool keeps. Arrays that are left may only be dropped.

        Happens by itself when the last of its arrays and the device are dropped. Never raises.
        """
        if self._pooled and self._release.alive:
            with suppress(GarError):  # as where the GPU is what failed
                self._keep(0)
        self._release()

    def raise_if_failed(self) -> None:
        """Waits for all that was asked of the GPU. Raises GarError for what failed of it, GpuLostError if all will."""
        _checked(self._cudart, "cudaStreamSynchronize", self._stream)

    def _keep(self, size: int) -> None:
        """So many bytes without an owner stay in the pool rather than going back to the system."""
        number = importlib.import_module(_CUDA_DRIVER).cuuint64_t(size)
        threshold = self._cudart.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold
        _checked(self._cudart, "cudaMemPoolSetAttribute", self._pool, threshold, number)

    @property
    def stream(self) -> int:
        """The stream's handle."""
        return int(self._stream)

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        """An array whose values are not set."""
        return self.empty_alike(shape, dtype, 1)[0]

    def empty_alike(self, shape: Sequence[int], dtype: DTypeLike, count: int) -> list[DeviceArray]:
        """`count` arrays of one shape and type whose values are not set, in one piece of memory.

        That is one allocation instead of many, but all of it goes back only with the last of them.
        """
        kind, whole = np.dtype(dtype), tuple(shape)
        size = max(1, math.prod(whole) * kind.itemsize)  # even empty tensors need an address
        stride = -(-size // _ALIGNMENT) * _ALIGNMENT
        memory = _Memory(self, stride * (count - 1) + size)
        return [DeviceArray(memory, stride * number, whole, kind) for number in range(count)]

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        """An array of zeros."""
        array = self.empty(shape, dtype)
        _checked(self._cudart, "cudaMemsetAsync", array.address, 0, array.nbytes, self._stream)
        return array

    def upload(self, values: NDArray[Any], dtype: DTypeLike | None = None) -> DeviceArray:
        """A copy of a host array, cast to `dtype` if that is given. The host's may be changed when this returns."""
        array = self.empty(values.shape, values.dtype if dtype is None else dtype)
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
        place = target.address + offset
        if not isinstance(part, DeviceArray):
            return self._staging.upload(place, part, target.dtype)
        if part.nbytes:
            across = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
            _checked(self._cudart, "cudaMemcpyAsync", place, part.address, part.nbytes, across, self._stream)
        return part.nbytes

    def copy_positions(self, source: DeviceArray, target: DeviceArray, count: int) -> None:
        """Copies the first `count` along the last axis but one, between arrays that differ in the length of that axis
        alone."""
        position = source.shape[-1] * source.dtype.itemsize
        rows, across = math.prod(source.shape[:-2]), self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        places = (target.address, target.shape[-2] * position, source.address, source.shape[-2] * position)
        _checked(self._cudart, "cudaMemcpy2DAsync", *places, count * position, rows, across, self._stream)

    def download(self, array: DeviceArray) -> NDArray[Any]:
        """A copy on the host; waits for everything before it."""
        values = np.empty(array.shape, array.dtype)
        self._staging.download(array.address, values)
        return values

    def fetch(self, array: DeviceArray) -> Callable[[], NDArray[Any]]:
        """Begins to copy a small array to the host: see `Staging.fetch`."""
        return self._staging.fetch(array.address, np.empty(array.shape, array.dtype))

    def allocate(self, size: int) -> int:
        """Address of `size` bytes. Where memory is full, caches forget first. Raises OutOfMemoryError."""
        try:
            return self._allocate(size)
        except OutOfMemoryError:
            pass  # its traceback would keep what is to be freed
        self.make_room()
        self.raise_if_failed()
        if self._pooled:  # TensorRT and other processes find there what is freed
            _checked(self._cudart, "cudaMemPoolTrimTo", self._pool, 0)
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
            if self._pooled and self._release.alive:
                self._cudart.cudaFreeAsync(address, self._stream)
            else:
                self._cudart.cudaFree(address)
            if self._pooled and not self._release.alive:
                self._cudart.cudaMemPoolTrimTo(self._pool, 0)


def _waiting_stops_threads() -> bool:
    """Whether cuda-python keeps Python's lock while it waits for the GPU, as it did before 12.9.1: then no callback of
    the node would run while the GPU does."""
    version = getattr(sys.modules.get("cuda.bindings"), "__version__", "")
    return tuple(map(int, re.findall(r"\d+", version)[:3])) < (12, 9, 1)


def _release(cudart: Any, stream: Any, staging: Staging, pool: Any) -> None:
    """What `Device.close` does. The functions' statuses don't matter: after an error of the GPU all of them fail."""
    with suppress(Exception):
        cudart.cudaStreamSynchronize(stream)
        staging.free()
        if pool is not None:
            cudart.cudaMemPoolTrimTo(pool, 0)
        cudart.cudaStreamDestroy(stream)


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
