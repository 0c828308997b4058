# SPDX-License-Identifier: Apache-2.0
"""The bounded queue in front of the model, in which no caller that floods takes the places of the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Generic, NamedTuple, Protocol, TypeVar

NODE, WATCHES = "node", "watches"
"""Doors of background work, which no request waits for."""


class Caller(NamedTuple):
    """Who asks. door: services, the action or the node itself; each has the whole queue size for itself. client: tells
    the door's clients apart, as well as is known. camera: that is asked about; each has its own doors."""

    door: str
    client: int
    camera: str = ""

    @property
    def is_background(self) -> bool:
        """Whether its work waits for all requests."""
        return self.door in (NODE, WATCHES)


UNKNOWN_CALLER = Caller("", 0)


class Entry(Protocol):
    """What waits in the queue."""

    @property
    def finished(self) -> bool:
        """Whether it needs its place no more."""
        ...


T = TypeVar("T", bound=Entry)


class FairQueue(Generic[T]):
    """Requests come before background work; of each, cameras take turns, then a camera's callers; each caller's entries
    keep their order.

    In a door that is full, a caller with fewer entries takes the newest place of the caller with the most. So one that
    floods keeps at least as many places as any other, and only those. Not thread-safe.
    """

    def __init__(self, size: int) -> None:
        """size: number of entries that may wait at each door."""
        self._size = size
        self._waiting: dict[Caller, deque[T]] = {}
        """In the order in which they have their turns; none is empty."""
        self._turns = count(1)
        self._last_turn: dict[str, int] = {}
        """Of each camera."""

    def __iter__(self) -> Iterator[T]:
        """All entries that aren't finished."""
        return (entry for entries in self._waiting.values() for entry in entries if not entry.finished)

    def __bool__(self) -> bool:
        return any(True for _ in self)

    def add(self, entry: T, caller: Caller) -> T | None:
        """Takes the entry in; None, or the one that must leave for it, which may be itself."""
        self._forget_finished()
        rivals = {other: entries for other, entries in self._waiting.items() if _same_door(other, caller)}
        leaving = None
        if sum(map(len, rivals.values())) >= self._size:
            most = max(rivals, key=lambda other: len(rivals[other]))
            if len(rivals[most]) <= len(rivals.get(caller, ())) + 1:
                return entry
            leaving = rivals[most].pop()
        self._waiting.setdefault(caller, deque()).append(entry)
        return leaving

    def pop(self) -> T | None:
        """The next entry that isn't finished, None when there is none."""
        self._forget_finished()
        if not self._waiting:
            return None
        # The first of equal ones.
        caller = min(self._waiting, key=lambda one: (one.is_background, self._last_turn.get(one.camera, 0)))
        self._last_turn[caller.camera] = next(self._turns)
        entries = self._waiting.pop(caller)
        entry = entries.popleft()
        if entries:
            self._waiting[caller] = entries  # behind all others
        return entry

    def clear(self) -> None:
        """Drops all entries."""
        self._waiting.clear()

    def _forget_finished(self) -> None:
        for caller, entries in list(self._waiting.items()):
            left = deque(entry for entry in entries if not entry.finished)
            if left:
                self._waiting[caller] = left
            else:
                del self._waiting[caller]


def _same_door(one: Caller, other: Caller) -> bool:
    return (one.door, one.camera) == (other.door, other.camera)
