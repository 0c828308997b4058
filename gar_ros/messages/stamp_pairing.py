# SPDX-License-Identifier: Apache-2.0
"""Pairs of two topics by their stamps, as message_filters makes them."""

from __future__ import annotations

from typing import Any

AHEAD_NS = 1_000_000_000
"""A stamp that much ahead of a newly arrived one is wrong, or that one is late."""


class StampPairing:
    """Two queues of items; an item leaves with the nearest one of the other queue.

    queue_size: items that wait in each queue. slop_ns: stamps must differ by less, nanoseconds; None: they must be
    equal. Same rules as message_filters' TimeSynchronizer and ApproximateTimeSynchronizer of two topics,
    which a test compares with; written out here because bags and machines without ROS's own packages pair too.

    Of a full queue the oldest stamp goes first, as there. But where stamps lie more than AHEAD_NS ahead of the new
    one, the first of those that came goes: a few stamps from the future would else keep all others out for good.
    """

    def __init__(self, queue_size: int, slop_ns: int | None) -> None:
        self._queue_size, self._slop_ns = queue_size, slop_ns
        self._queues: tuple[dict[int, Any], dict[int, Any]] = ({}, {})

    def add(self, stream: int, stamp_ns: int, item: Any) -> tuple[Any, Any] | None:
        """The pair (of stream 0, of stream 1) that this item completes. stream: 0 or 1."""
        mine, others = self._queues[stream], self._queues[1 - stream]
        mine[stamp_ns] = item
        while len(mine) > self._queue_size:
            del mine[next((other for other in mine if other > stamp_ns + AHEAD_NS), min(mine))]
        partner = self._partner(stamp_ns, others)
        if partner is None or stamp_ns not in mine:
            return None
        pair = (mine.pop(stamp_ns), others.pop(partner))
        return pair if stream == 0 else (pair[1], pair[0])

    def clear(self, stream: int) -> None:
        """Empties the queue of this stream, 0 or 1."""
        self._queues[stream].clear()

    def _partner(self, stamp_ns: int, others: dict[int, Any]) -> int | None:
        if self._slop_ns is None:
            return stamp_ns if stamp_ns in others else None
        nearest = min(others, key=lambda other: abs(other - stamp_ns), default=None)
        return nearest if nearest is not None and abs(nearest - stamp_ns) < self._slop_ns else None
