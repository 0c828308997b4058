"""Pairs messages of two topics by their stamps, as message_filters does."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any


class StampPairing:
    """Two queues of messages; a message leaves with the nearest one of the other queue.

    slop_ns: stamps must differ by less, nanoseconds; None: they must be equal. queue_size: messages that wait in
    each queue; the oldest stamp goes first. on_pair: called with (first, second). Same rules as message_filters'
    TimeSynchronizer and ApproximateTimeSynchronizer of two topics. Thread-safe.
    """

    def __init__(self, queue_size: int, slop_ns: int | None, on_pair: Callable[[Any, Any], None]) -> None:
        self._queue_size = queue_size
        self._slop_ns = slop_ns
        self._on_pair = on_pair
        self._lock = threading.Lock()
        self._queues: tuple[dict[int, Any], dict[int, Any]] = ({}, {})

    def add(self, stream: int, stamp_ns: int, message: Any) -> None:
        """stream: 0 or 1."""
        with self._lock:
            mine, others = self._queues[stream], self._queues[1 - stream]
            mine[stamp_ns] = message
            while len(mine) > self._queue_size:
                del mine[min(mine)]
            partner = self._partner(stamp_ns, others)
            if partner is None or stamp_ns not in mine:
                return
            pair = (mine.pop(stamp_ns), others.pop(partner))
        self._on_pair(*(pair if stream == 0 else pair[::-1]))

    def _partner(self, stamp_ns: int, others: dict[int, Any]) -> int | None:
        if self._slop_ns is None:
            return stamp_ns if stamp_ns in others else None
        nearest = min(others, key=lambda other: abs(other - stamp_ns), default=None)
        return nearest if nearest is not None and abs(nearest - stamp_ns) < self._slop_ns else None


def make_pairing(
    queue_size: int, slop_ns: int | None, on_pair: Callable[[Any, Any], None]
) -> Callable[[int, int, Any], None]:
    """Function `add(stream, stamp_ns, message)` that calls `on_pair` as `pairing.StampPairing` says.

    message_filters does the work where it is there; it must not see an exception from `on_pair`.
    """
    try:
        filters = importlib.import_module("message_filters")
    except ImportError:
        return StampPairing(queue_size, slop_ns, on_pair).add
    streams = (filters.SimpleFilter(), filters.SimpleFilter())
    if slop_ns is None:
        synchroniser = filters.TimeSynchronizer(streams, queue_size)
    else:
        synchroniser = filters.ApproximateTimeSynchronizer(streams, queue_size, slop_ns / 1e9)
    synchroniser.registerCallback(on_pair)

    def add(stream: int, stamp_ns: int, message: Any) -> None:
        streams[stream].signalMessage(message)

    return add
