# SPDX-License-Identifier: Apache-2.0
"""Values out of bytes, so that whoever changes the bytes chooses the values."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_ODD_SIZES = (0, 1, 2, 3, 7, 8, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1)


class BytesReader:
    """Reads values from the front; at the end there are only zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end."""
        taken = self._data[self._at : self._at + count]
        self._at += len(taken)
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))

    def byte(self) -> int:
        """0 to 255."""
        return int.from_bytes(self.take(1), "big")

    def flag(self) -> bool:
        """True or False."""
        return self.byte() % 2 == 1

    def one_of(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[self.byte() % len(values)]

    def size(self, usual: int = 16) -> int:
        """Mostly 0 to `usual`, sometimes a number at which integers break."""
        byte = self.byte()
        return _ODD_SIZES[byte % len(_ODD_SIZES)] if byte >= 240 else byte % (usual + 1)

    def signed(self) -> int:
        """An integer of 32 bits."""
        return int.from_bytes(self.take(4), "big", signed=True)

    def number(self) -> float:
        """A float, of which NaN, infinity and the largest are as likely as small whole ones."""
        if self.flag():
            return float(self.signed() % 1024) / 8
        packed = self.take(8).ljust(8, b"\0")
        return float(struct.unpack("<d", packed)[0])

    def text(self, usual: Sequence[str]) -> str:
        """One of the usual texts, or one of any characters."""
        return self.one_of(usual) if self.byte() < 200 else self.take(self.byte() % 12).decode("latin-1")
