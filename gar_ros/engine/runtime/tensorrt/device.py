# SPDX-License-Identifier: Apache-2.0
"""Memory of the GPU: arrays that stay there, copied in the order of one stream."""

from __future__ import annotations

import functools
import importlib
import math
import re
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gar_ros.engine.runtime.make_room import MakeRoom
from gar_ros.engine.runtime.sliced import Sliced
from gar_ros.engine.runtime.tensorrt.cuda_calls import checked
from gar_ros.engine.runtime.tensorrt.staging import Staging
from gar_ros.errors import GarError, OutOfMemoryError

_CUDA_DRIVER = "cuda.bindings.driver"
_ALIGNMENT = 256  # bytes; what CUDA gives its own allocations at least


class Device:
    """One GPU with one stream: what is freed, copied and run takes effect in the order of the calls.

    So memory that a running graph reads can be freed at once. Errors are GarError INTERNAL_ERROR.
    """

    def __init__(self, cudart: Any) -> None:
        """cudart: the module cuda.bindings.runtime."""
        self.cudart = cudart
        self.make_room = MakeRoom()
        self._freeing = threading.RLock()  # the collector may free something while something is freed
        self._held: list[int] | None = None
        (self._stream,) = checked(cudart, "cudaStreamCreate")
        # Old Jetsons have no pools; their cudaFree waits for the stream, which is as correct.
        (self._pooled,) = checked(
            cudart, "cudaDeviceGetAttribute", cudart.cudaDeviceAttr.cudaDevAttrMemoryPoolsSupported, 0
        )
        self._pool = None
        if self._pooled:
            (self._pool,) = checked(cudart, "cudaDeviceGetDefaultMemPool", 0)
            self._keep(2**64 - 1)  # else each wait gives all back
        self._staging = Staging(cudart, functools.partial(checked, cudart), self._stream, _waiting_stops_threads())
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

    def call(self, function: str, *arguments: Any) -> tuple[Any, ...]:
        """What a function of CUDA's runtime returns after its status. Raises GarError where that is an error."""
        return checked(self.cudart, function, *arguments)

    @contextmanager
    def holding_frees(self) -> Iterator[None]:
        """Memory that is dropped within it, by whatever thread, goes back at its end: while a stream is captured, it
        takes no frees."""
        with self._freeing:
            held: list[int] = []
            self._held = held
        try:
            yield
        finally:
            with self._freeing:
                self._held = None
            for address in held:
                self.free(address)

    def raise_if_failed(self) -> None:
        """Waits for all that was asked of the GPU. Raises GarError for what failed of it, GpuLostError if all will."""
        checked(self.cudart, "cudaStreamSynchronize", self._stream)

    def _keep(self, size: int) -> None:
        """So many bytes without an owner stay in the pool rather than going back to the system."""
        number = importlib.import_module(_CUDA_DRIVER).cuuint64_t(size)
        threshold = self.cudart.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold
        checked(self.cudart, "cudaMemPoolSetAttribute", self._pool, threshold, number)

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
        _, arrays = self.empty_together([(shape, dtype)] * count)
        return arrays

    def empty_together(
        self, tensors: Sequence[tuple[Sequence[int], DTypeLike]]
    ) -> tuple[DeviceArray, list[DeviceArray]]:
        """Bytes, and arrays of these shapes and types within them, one after another, whose values are not set.

        Of the same shapes and types it makes the same places within the bytes.
        """
        places, size = [], 0
        for shape, dtype in tensors:
            start = aligned(size)
            places.append((start, tuple(shape), np.dtype(dtype)))
            size = start + max(1, math.prod(shape) * np.dtype(dtype).itemsize)  # even empty tensors need an address
        block = DeviceArray(_Memory(self, max(1, size)), 0, (size,), np.dtype(np.uint8))
        return block, [block.part(*place) for place in places]

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        """An array of zeros."""
        return self.zeros_alike(shape, dtype, 1)[0]

    def zeros_alike(self, shape: Sequence[int], dtype: DTypeLike, count: int) -> list[DeviceArray]:
        """`count` arrays of zeros, as `empty_alike` makes them."""
        block, arrays = self.empty_together([(shape, dtype)] * count)
        checked(self.cudart, "cudaMemsetAsync", block.address, 0, block.nbytes, self._stream)
        return arrays

    def upload(self, values: NDArray[Any], dtype: DTypeLike | None = None) -> DeviceArray:
        """A copy of a host array, cast to `dtype` if that is given. The host's may be changed when this returns."""
        array = self.empty(values.shape, values.dtype if dtype is None else dtype)
        self.fill(array, values)
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
            offset += self.fill(joined, part, offset)
        return joined

    def fill(self, target: DeviceArray, part: NDArray[Any] | DeviceArray, offset: int = 0) -> int:
        """Copies `part` to byte `offset` of `target`; the number of bytes. A host array is cast to the target's type,
        and may be changed when this returns."""
        place = target.address + offset
        if not isinstance(part, DeviceArray):
            return self._staging.upload(place, part, target.dtype)
        if part.nbytes:
            across = self.cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
            checked(self.cudart, "cudaMemcpyAsync", place, part.address, part.nbytes, across, self._stream)
        return part.nbytes

    def copy_positions(self, source: DeviceArray, target: DeviceArray, count: int) -> None:
        """Copies the first `count` along the last axis but one, between arrays that differ in the length of that axis
        alone."""
        position = source.shape[-1] * source.dtype.itemsize
        rows, across = math.prod(source.shape[:-2]), self.cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        places = (target.address, target.shape[-2] * position, source.address, source.shape[-2] * position)
        checked(self.cudart, "cudaMemcpy2DAsync", *places, count * position, rows, across, self._stream)

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
            checked(self.cudart, "cudaMemPoolTrimTo", self._pool, 0)
        return self._allocate(size)

    def _allocate(self, size: int) -> int:
        if self._pooled:
            (address,) = checked(self.cudart, "cudaMallocAsync", size, self._stream)
        else:
            (address,) = checked(self.cudart, "cudaMalloc", size)
        return int(address)

    def free(self, address: int) -> None:
        """Gives back what `allocate` gave, once the stream gets there. Never raises: garbage collection calls it."""
        with suppress(Exception), self._freeing:
            if self._held is not None:
                self._held.append(address)
            elif self._pooled and self._release.alive:
                self.cudart.cudaFreeAsync(address, self._stream)
            else:
                self.cudart.cudaFree(address)
            if self._pooled and not self._release.alive:
                self.cudart.cudaMemPoolTrimTo(self._pool, 0)


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


class DeviceArray(Sliced):
    """A contiguous array on the GPU (see DeviceTensor). Slices are views that keep its memory."""

    def __init__(self, memory: _Memory, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """offset: bytes from the memory's begin."""
        super().__init__(offset, shape, dtype)
        self._memory = memory

    @property
    def address(self) -> int:
        """Where it begins in device memory."""
        return self._memory.address + self._offset

    def part(self, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> DeviceArray:
        """See Sliced."""
        return DeviceArray(self._memory, self._offset + offset, shape, dtype)

    def numpy(self) -> NDArray[Any]:
        """See DeviceTensor."""
        return self._memory.device.download(self)


def aligned(size: int) -> int:
    """The first place behind `size` bytes that an array may begin at."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT
