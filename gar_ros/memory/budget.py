# SPDX-License-Identifier: Apache-2.0
"""One limit for everything that the model has computed and that is kept: features, replay tokens and KV caches."""

from __future__ import annotations

from typing import Protocol
from weakref import ReferenceType, ref


class Holder(Protocol):
    """A memory that holds some of it."""

    @property
    def nbytes(self) -> int:
        """Size in bytes of what it holds and no holder before it."""

    def forget_one(self) -> bool:
        """Forgets what it can miss most easily; False, and nothing is forgotten, when only the newest is left."""


class MemoryBudget:
    """Has its holders forget until all of them together are within the limit, or only the newest of each is left.

    Not thread-safe: only the thread that uses the engine may call it; `used` and `limit` may be read from any thread.
    """

    def __init__(self, limit: int) -> None:
        """limit: bytes."""
        self.limit = limit
        self.used = 0
        """Bytes that were held when `enforce` was called last."""
        # Weak, since holders know their budget: a circle would keep the model until Python's collector comes by.
        self._holders: list[ReferenceType[Holder]] = []

    def add(self, holder: Holder) -> None:
        """Counts a holder from now on, for as long as it exists. Those added first forget first."""
        self._holders.append(ref(holder))

    def enforce(self) -> None:
        """To be called whenever something has been added."""
        self.used = self._size()
        for holder in self._there():
            while self.used > self.limit and holder.forget_one():
                self.used = self._size()

    def forget_most(self) -> None:
        """Only the newest of each is left: for a GPU whose memory is full, whatever the limit is."""
        for holder in self._there():
            while holder.forget_one():
                pass
        self.used = self._size()

    def _size(self) -> int:
        return sum(holder.nbytes for holder in self._there())

    def _there(self) -> list[Holder]:
        return [holder for one in self._holders if (holder := one()) is not None]
