# SPDX-License-Identifier: Apache-2.0
"""Pinned host memory that host arrays pass through on their way to and from the GPU."""

from __future__ import annotations

import ctypes
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUFFERS = 4
PIECE = 4 << 20
"""Bytes of a buffer at most, and so of one copy: several fit, for the host to fill one while the GPU reads another."""

_SMALLEST = 64 << 10
_FETCHED = 4 << 10  # a page
_LOOK_SECONDS = 0.0002


class Staging:
    """A ring of at most BUFFERS pinned buffers of at most PIECE bytes each, as many and as large as was needed so far.

    An asynchronous copy uses the host's memory after the call that starts it has returned. So no array of NumPy's is
    ever handed to one: its values pass through these buffers, in pieces, and a buffer is used again only when the
    stream has passed the copy that used it last, which its event tells.
    """

    def __init__(self, cudart: Any, call: Callable[..., tuple[Any, ...]], stream: Any, look: bool) -> None:
        """cudart: the module cuda.bindings.runtime. call: (function, *arguments) calls one of its functions, raises
        GarError where that fails, else returns what it returned. look: waits by looking again and again, for versions
        whose waiting functions stop all threads of Python."""
        self._cudart = cudart
        self._call = call
        self._stream = stream
        self._look = look
        self._buffers: list[_Buffer] = []
        self._next = 0
        self._fetching: list[_Buffer] = []  # all of them, each for one `fetch` at a time
        self._spare: list[_Buffer] = []

    def upload(self, target: int, values: NDArray[Any], dtype: np.dtype) -> int:
        """Copies an array, cast to `dtype`, to an address on the GPU; the number of bytes there.

        The array may be changed or dropped when this returns.
        """
        flat = values.reshape(-1)
        step = PIECE // dtype.itemsize
        for start in range(0, flat.size, step):
            piece = flat[start : start + step]
            size = piece.size * dtype.itemsize
            buffer = self._take(size)
            np.copyto(buffer.bytes[:size].view(dtype), piece, casting="unsafe")
            place = target + start * dtype.itemsize
            self._copy(place, buffer.address, size, self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice, buffer)
        return flat.size * dtype.itemsize

    def download(self, source: int, values: NDArray[Any]) -> None:
        """Fills a contiguous array from an address on the GPU. Waits until the stream has done all before."""
        flat = values.reshape(-1).view(np.uint8)
        under_way: deque[tuple[_Buffer, NDArray[np.uint8]]] = deque()
        for start in range(0, flat.size, PIECE):
            if len(under_way) == BUFFERS:
                self._finish(*under_way.popleft())
            piece = flat[start : start + PIECE]
            buffer = self._take(piece.size)
            to_host = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
            self._copy(buffer.address, source + start, piece.size, to_host, buffer)
            under_way.append((buffer, piece))
        for buffer, piece in under_way:
            self._finish(buffer, piece)

    def fetch(self, source: int, values: NDArray[Any]) -> Callable[[], NDArray[Any]]:
        """Begins to fill a small contiguous array from an address on the GPU. The returned function waits until that
        is done, but for nothing that the stream was told later, and returns the array. It may be dropped unused."""
        if values.nbytes > _FETCHED:
            raise ValueError(f"expected at most {_FETCHED} bytes, got {values.nbytes}")
        flat = values.reshape(-1).view(np.uint8)
        if not self._spare:
            buffer = self._new()
            self._fetching.append(buffer)
            self._spare.append(buffer)
            self._grow(buffer, _FETCHED)
        lent = _Lent(self._spare.pop())
        weakref.finalize(lent, self._spare.append, lent.buffer).atexit = False
        self._copy(
            lent.buffer.address, source, flat.size, self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost, lent.buffer
        )

        def arrived() -> NDArray[Any]:
            self._finish(lent.buffer, flat)
            return values

        return arrived

    def free(self) -> None:
        """Gives all of it back; the stream must have done all that it was told. Never raises."""
        for buffer in (*self._buffers, *self._fetching):
            if buffer.address:
                self._cudart.cudaFreeHost(buffer.address)
            self._cudart.cudaEventDestroy(buffer.event)
        self._buffers.clear()
        self._fetching.clear()
        self._spare.clear()
        self._next = 0

    def _new(self) -> _Buffer:
        return _Buffer(*self._call("cudaEventCreateWithFlags", self._cudart.cudaEventDisableTiming))

    def _take(self, size: int) -> _Buffer:
        """The next buffer, with room for `size` bytes, once the stream has passed its last copy."""
        if self._next == len(self._buffers):
            self._buffers.append(self._new())
        buffer = self._buffers[self._next]
        self._next = (self._next + 1) % BUFFERS
        self._wait(buffer)
        if buffer.bytes.size < size:
            self._grow(buffer, max(_SMALLEST, 1 << (size - 1).bit_length()))
        return buffer

    def _grow(self, buffer: _Buffer, size: int) -> None:
        old = buffer.address
        buffer.address, buffer.bytes = 0, _NOTHING
        if old:
            self._call("cudaFreeHost", old)
        (address,) = self._call("cudaHostAlloc", size, self._cudart.cudaHostAllocDefault)
        buffer.address = int(address)
        buffer.bytes = np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(buffer.address))

    def _copy(self, target: int, source: int, size: int, kind: Any, buffer: _Buffer) -> None:
        self._call("cudaMemcpyAsync", target, source, size, kind, self._stream)
        self._call("cudaEventRecord", buffer.event, self._stream)

    def _finish(self, buffer: _Buffer, target: NDArray[np.uint8]) -> None:
        self._wait(buffer)
        np.copyto(target, buffer.bytes[: target.size])

    def _wait(self, buffer: _Buffer) -> None:
        """Until the stream has passed the buffer's last copy."""
        if self._look:
            not_ready = self._cudart.cudaError_t.cudaErrorNotReady
            while self._cudart.cudaEventQuery(buffer.event)[0] == not_ready:
                time.sleep(_LOOK_SECONDS)
        self._call("cudaEventSynchronize", buffer.event)


_NOTHING: NDArray[np.uint8] = np.empty(0, np.uint8)


class _Buffer:
    """Pinned memory, and the event that comes after its last copy."""

    def __init__(self, event: Any) -> None:
        self.event = event
        self.address = 0
        self.bytes = _NOTHING


class _Lent:
    """A buffer that is a fetch's own until that is dropped. A copy that is still under way then is no harm: the stream
    does the next one after it."""

    def __init__(self, buffer: _Buffer) -> None:
        self.buffer = buffer
