# SPDX-License-Identifier: Apache-2.0
"""Which runs are captured as CUDA graphs, and how many of these are kept."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Hashable, Mapping

import numpy as np

from gar_ros.engine.runtime.tensorrt.captured_run import CapturedRun, Feeds
from gar_ros.engine.runtime.tensorrt.device import DeviceArray
from gar_ros.engine.runtime.tensorrt.execution import LoadedEngine
from gar_ros.errors import ErrorCode, GarError, GpuLostError

KEPT = 8
"""Graphs that are kept, those used last. Each has an execution context, small inputs and outputs, and no cache."""

_REMEMBERED = 64
"""Runs that were seen once and are captured when they come again."""

_SMALL_INPUTS = 256 << 10
"""Bytes of inputs that are copied for a replay. Pieces of a prompt have more: there the GPU works far longer than the
launches of its kernels take."""

_log = logging.getLogger(__name__)


class Replays:
    """The captured runs of one engine.

    A run is captured the second time that it comes: then it is enqueued in a context of its own, and captured behind
    that. Whatever TensorRT or CUDA refuse of it is one line in the log, and from then on nothing is captured.
    """

    def __init__(self, engine: LoadedEngine) -> None:
        self._engine = engine
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._runs: OrderedDict[Hashable, CapturedRun] = OrderedDict()
        self._works = True
        engine.device.make_room.ask_too(self.forget)

    def run(self, feeds: Feeds, written: Mapping[str, str]) -> dict[str, DeviceArray] | None:
        """The outputs of a run that is replayed or captured; None for one that isn't, and wasn't enqueued.

        See `CapturedRun.run`.
        """
        key = self._key(feeds, written) if self._works else None
        if key is None:
            return None
        run = self._runs.pop(key, None)
        if run is not None and not run.is_valid():
            run.close()
            run = None
        if run is None:
            if not self._comes_again(key):
                return None
            run = self._make(feeds, written)
            if run is None:
                return None
        try:
            outputs = run.run(feeds, written)
            if not run.is_captured:
                self._capture(run)
        except GarError:
            run.close()
            raise
        if self._works:
            self._runs[key] = run
            while len(self._runs) > KEPT:
                self._runs.popitem(last=False)[1].close()
        return outputs

    def forget(self) -> None:
        """Gives all graphs back."""
        while self._runs:
            self._runs.popitem()[1].close()

    def close(self) -> None:
        """Gives all graphs back, and makes no others."""
        self._works = False
        self.forget()

    def _key(self, feeds: Feeds, written: Mapping[str, str]) -> Hashable:
        """All that a replay can't change: shapes, and the addresses of what is written over. None for a run that can't
        be replayed, or that isn't worth it.

        A graph is replayed only for a call that gives the arrays at the very addresses that it writes to: so it can't
        write to a cache that its caller doesn't name, even if that was freed and another one got its memory.
        """
        caches = set(written.values())
        if not caches:
            return None
        key: list[Hashable] = [tuple(written.items())]
        size = 0
        for name, value in feeds.items():
            address = 0
            if isinstance(value, DeviceArray):
                if value.dtype != self._engine.types.get(name):
                    return None
                address = value.address if name in caches else 0
            elif name in caches or not isinstance(value, np.ndarray):
                return None
            key.append((name, value.shape, address))
            size += 0 if name in caches else value.nbytes
        return tuple(key) if size <= _SMALL_INPUTS and feeds.keys() == self._engine.inputs else None

    def _comes_again(self, key: Hashable) -> bool:
        if key in self._seen:
            del self._seen[key]
            return True
        self._seen[key] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return False

    def _make(self, feeds: Feeds, written: Mapping[str, str]) -> CapturedRun | None:
        try:
            return CapturedRun(self._engine, feeds, written)
        except GpuLostError:
            raise
        except GarError as error:
            if error.code != ErrorCode.INVALID_REQUEST:  # such shapes are refused by the run that follows
                self._give_up(error.message)
            return None

    def _capture(self, run: CapturedRun) -> None:
        try:
            if not run.capture():
                self._give_up(self._engine.failure("can't be captured").message)
        except GpuLostError:
            raise
        except GarError as error:
            self._give_up(error.message)
        if not run.is_captured:
            run.close()

    def _give_up(self, reason: str) -> None:
        _log.warning("%s runs without CUDA graphs, somewhat slower: %s", self._engine.graph, reason)
        self.close()
