# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the GPU: CUDA's runtime on host memory.

It is no proof that anything runs on a GPU. It holds the callers to what CUDA documents: memory is used only while it is
allocated, copies go where their kind says. The stream does nothing until somebody waits for it: copies then read and
write the host's memory as it is by then, which is the latest that CUDA may. What it offers is compared with the real
module in test_real_modules.py.
"""

# The names are CUDA's.
# ruff: noqa: N801, N802, N815

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np

GARBAGE = 0xA5  # of memory that was never written or is freed


class StandInCuda:
    """In place of the module cuda.bindings.runtime."""

    class cudaError_t(IntEnum):
        cudaSuccess = 0
        cudaErrorMemoryAllocation = 2
        cudaErrorInsufficientDriver = 35
        cudaErrorNoDevice = 100
        cudaErrorNotReady = 600
        cudaErrorIllegalAddress = 700
        cudaErrorLaunchFailure = 719
        cudaErrorStreamCaptureUnsupported = 900
        cudaErrorStreamCaptureInvalidated = 901

    class cudaMemcpyKind(Enum):
        cudaMemcpyHostToDevice = 1
        cudaMemcpyDeviceToHost = 2
        cudaMemcpyDeviceToDevice = 3

    class cudaStreamCaptureMode(Enum):
        cudaStreamCaptureModeThreadLocal = 1

    class cudaDeviceAttr(Enum):
        cudaDevAttrMemoryPoolsSupported = 115

    class cudaMemPoolAttr(Enum):
        cudaMemPoolAttrReleaseThreshold = 4

    cudaEventDisableTiming = 2
    cudaHostAllocDefault = 0

    def __init__(self, gpus: int = 1, pools: bool = True, limit: int = 1 << 40) -> None:
        """limit: bytes of the device."""
        self.gpus, self.pools, self.limit = gpus, pools, limit
        self.multiprocessors, self.total_memory = 16, 65_890_000_000
        self.sticky = self.cudaError_t.cudaSuccess
        """Once it is another one, all that is asked of the GPU fails with it."""
        self.reserved = 0
        """Bytes that the pool has taken from the system, freed or not."""
        self.threshold = 0
        self.memory: dict[int, np.ndarray] = {}  # of the device: address -> bytes, as they are when the stream is done
        self.pinned: dict[int, np.ndarray] = {}  # of the host, allocated by CUDA
        self.events: dict[int, int] = {}  # event -> how many operations of the stream come before it
        self.streams = 0  # created and not destroyed
        self.trimmed_to: int | None = None
        self._stream: list[Callable[[], None]] = []  # all that it was told; the first `_done` are done
        self._done = 0
        self._captured: list[Callable[[], None]] | None = None  # while the stream is captured
        self._invalidated = False
        self.graphs: set[Any] = set()  # of both kinds, made and not destroyed
        self.during_capture: Callable[[], object] = lambda: None
        """What happens meanwhile, as in other threads."""
        self.copies: Counter[str] = Counter()
        self.copied: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.STREAM = 77

    def cudaGetDeviceCount(self) -> tuple[Any, int]:
        none = self.cudaError_t.cudaErrorNoDevice
        return (self.cudaError_t.cudaSuccess, self.gpus) if self.gpus else (none, 0)

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, Any]:
        found = SimpleNamespace(name=b"Stand-in", major=8, minor=7)
        found.multiProcessorCount, found.totalGlobalMem = self.multiprocessors, self.total_memory
        return self.cudaError_t.cudaSuccess, found

    def cudaGetErrorString(self, error: Any) -> tuple[Any, bytes]:
        return self.cudaError_t.cudaSuccess, error.name.encode()

    def cudaDeviceGetAttribute(self, attr: Any, device: int) -> tuple[Any, int]:
        assert attr is self.cudaDeviceAttr.cudaDevAttrMemoryPoolsSupported
        return self.cudaError_t.cudaSuccess, int(self.pools)

    def cudaDeviceGetDefaultMemPool(self, device: int) -> tuple[Any, Any]:
        assert self.pools
        return self.cudaError_t.cudaSuccess, "pool"

    def cudaMemPoolSetAttribute(self, memPool: Any, attr: Any, value: Any) -> tuple[Any]:
        self.threshold = int(value)
        assert (memPool, attr) == ("pool", self.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold)
        return (self.sticky,)

    def cudaMemPoolTrimTo(self, memPool: Any, minBytesToKeep: int) -> tuple[Any]:
        assert memPool == "pool"
        self.trimmed_to = minBytesToKeep
        if not self.sticky:
            self.reserved = max(self.used, min(self.reserved, minBytesToKeep))
        return (self.sticky,)

    def cudaStreamCreate(self) -> tuple[Any, int]:
        self.streams += 1
        return self.cudaError_t.cudaSuccess, self.STREAM

    def cudaStreamDestroy(self, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and self.streams
        self.streams -= 1
        return (self.sticky,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and self.streams
        if self._captured is not None:
            return (self._invalidate(),)
        self.calls["synchronize"] += 1
        self._work(len(self._stream))
        if self.reserved > self.threshold:
            self.reserved = max(self.used, self.threshold)
        return (self.sticky,)

    def cudaEventCreateWithFlags(self, flags: int) -> tuple[Any, int]:
        assert flags == self.cudaEventDisableTiming
        event = max(self.events, default=1000) + 1
        self.events[event] = 0
        return self.cudaError_t.cudaSuccess, event

    def cudaEventRecord(self, event: int, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and event in self.events
        self.events[event] = len(self._stream)
        return (self.cudaError_t.cudaSuccess,)

    def cudaEventQuery(self, event: int) -> tuple[Any]:
        """The stream does one thing more while it is looked at."""
        if self.sticky or self.events[event] <= self._done:
            return (self.sticky,)
        self._work(self._done + 1)
        return (self.cudaError_t.cudaErrorNotReady,)

    def cudaEventSynchronize(self, event: int) -> tuple[Any]:
        if self.events[event] > self._done:
            self.calls["wait"] += 1
            self._work(self.events[event])
        return (self.sticky,)

    def cudaEventDestroy(self, event: int) -> tuple[Any]:
        del self.events[event]
        return (self.cudaError_t.cudaSuccess,)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, int]:
        assert flags == self.cudaHostAllocDefault
        piece = np.full(size, GARBAGE, np.uint8)
        self.pinned[piece.ctypes.data] = piece
        return self.cudaError_t.cudaSuccess, piece.ctypes.data

    def cudaFreeHost(self, ptr: int) -> tuple[Any]:
        self.pinned.pop(ptr)[:] = GARBAGE
        return (self.cudaError_t.cudaSuccess,)

    def cudaMallocAsync(self, size: int, hStream: int) -> tuple[Any, int | None]:
        assert self.pools and hStream == self.STREAM and self.streams
        return (self._invalidate(), None) if self._captured is not None else self._allocate(size)

    def cudaMalloc(self, size: int) -> tuple[Any, int | None]:
        assert not self.pools
        return self._allocate(size)

    def cudaFreeAsync(self, devPtr: int, hStream: int) -> tuple[Any]:
        assert self.pools and hStream == self.STREAM and self.streams
        return (self._invalidate(),) if self._captured is not None else self._free(devPtr)

    def cudaFree(self, devPtr: int) -> tuple[Any]:
        """It takes memory of a pool, too."""
        return self._free(devPtr)

    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: Any, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and self.streams
        if self.sticky or self._captured is not None:
            return (self.sticky or self._invalidate(),)
        kinds = self.cudaMemcpyKind
        assert self.holds(dst, count) == (kind is not kinds.cudaMemcpyDeviceToHost)
        assert self.holds(src, count) == (kind is not kinds.cudaMemcpyHostToDevice)
        target, source = self._bytes(dst, count), self._bytes(src, count)
        if not (self._is_known(dst, count) and self._is_known(src, count)):
            self.calls["pageable"] += 1
        self.later(lambda: np.copyto(target, source))
        self.copies[kind.name] += 1
        self.copied[kind.name] += count
        return (self.cudaError_t.cudaSuccess,)

    def cudaMemcpy2DAsync(
        self, dst: int, dpitch: int, src: int, spitch: int, width: int, height: int, kind: Any, stream: int
    ) -> tuple[Any]:
        assert width <= min(dpitch, spitch)
        for row in range(height):
            self.cudaMemcpyAsync(dst + row * dpitch, src + row * spitch, width, kind, stream)
        return (self.sticky,)

    def cudaMemsetAsync(self, devPtr: int, value: int, count: int, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and self.holds(devPtr, count)
        target = self._bytes(devPtr, count)
        self.later(lambda: target.fill(value))
        return (self.sticky,)

    def cudaStreamBeginCapture(self, stream: int, mode: Any) -> tuple[Any]:
        assert stream == self.STREAM and mode is self.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        assert self._captured is None
        if self.sticky:
            return (self.sticky,)
        self._captured, self._invalidated = [], False
        self.during_capture()
        return (self.cudaError_t.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, Any]:
        assert stream == self.STREAM and self._captured is not None
        captured, self._captured = tuple(self._captured), None
        if self._invalidated:
            return self.cudaError_t.cudaErrorStreamCaptureInvalidated, None
        return self.cudaError_t.cudaSuccess, self._new_graph(captured)

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Any, Any]:
        assert graph in self.graphs and flags == 0
        return self.cudaError_t.cudaSuccess, self._new_graph(graph.captured)

    def cudaGraphLaunch(self, graphExec: Any, stream: int) -> tuple[Any]:
        """The memory is that of the addresses that were captured, whoever has it by now."""
        assert stream == self.STREAM and graphExec in self.graphs and self._captured is None
        self.calls["launch"] += 1
        if not self.sticky:
            for ask in graphExec.captured:
                ask()
        return (self.sticky,)

    def cudaGraphDestroy(self, graph: Any) -> tuple[Any]:
        self.graphs.remove(graph)
        return (self.cudaError_t.cudaSuccess,)

    def cudaGraphExecDestroy(self, graphExec: Any) -> tuple[Any]:
        self.graphs.remove(graphExec)
        return (self.cudaError_t.cudaSuccess,)

    def _new_graph(self, captured: tuple[Callable[[], None], ...]) -> Graph:
        graph = Graph(captured)
        self.graphs.add(graph)
        return graph

    def _invalidate(self) -> Any:
        self._invalidated = True
        return self.cudaError_t.cudaErrorStreamCaptureUnsupported

    def ask(self, work: Callable[[], None]) -> bool:
        """Has the stream do `work`, which looks addresses up and calls `later`; whether that is only captured."""
        if self._captured is None:
            work()
            return False
        self._captured.append(work)
        return True

    def _allocate(self, size: int) -> tuple[Any, int | None]:
        assert size > 0
        if self.sticky:
            return self.sticky, None
        if self.used + size > self.limit:
            return self.cudaError_t.cudaErrorMemoryAllocation, None
        piece = np.full(size, GARBAGE, np.uint8)
        self.memory[piece.ctypes.data] = piece
        self.reserved = max(self.reserved, self.used)
        return self.cudaError_t.cudaSuccess, piece.ctypes.data

    def _free(self, address: int) -> tuple[Any]:
        piece = self.memory.pop(address)
        self.later(lambda: piece.fill(GARBAGE))
        return (self.sticky,)

    def later(self, operation: Callable[[], None]) -> None:
        """What the stream does after all that it was told before."""
        self._stream.append(operation)

    def _work(self, end: int) -> None:
        while self._done < end:
            operation = self._stream[self._done]
            self._stream[self._done] = lambda: None  # it keeps memory
            self._done += 1
            operation()

    def _is_known(self, address: int, size: int) -> bool:
        return any(_covers(begin, p, address, size) for begin, p in [*self.memory.items(), *self.pinned.items()])

    def _bytes(self, address: int, size: int) -> np.ndarray:
        """These bytes, in place. Pageable memory of the host is not kept: whoever hands it over has to."""
        for begin, piece in [*self.memory.items(), *self.pinned.items()]:
            if _covers(begin, piece, address, size):
                return piece[address - begin :][:size]
        return np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(address))

    @property
    def used(self) -> int:
        """Bytes of the device that are allocated when the stream is done."""
        return sum(piece.nbytes for piece in self.memory.values())

    def holds(self, address: int, size: int) -> bool:
        """Whether these bytes lie in one piece of allocated memory."""
        return any(_covers(begin, piece, address, size) for begin, piece in self.memory.items())

    def array(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The values there when the stream is done, in place."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        assert self.holds(address, max(1, size)), "not allocated"
        return self._bytes(address, size).view(dtype).reshape(shape)


@dataclass(frozen=True, eq=False)
class Graph:
    """A cudaGraph_t or cudaGraphExec_t."""

    captured: tuple[Callable[[], None], ...]


def _covers(begin: int, piece: np.ndarray, address: int, size: int) -> bool:
    return begin <= address and address + size <= begin + piece.nbytes
