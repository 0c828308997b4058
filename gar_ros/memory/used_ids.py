# SPDX-License-Identifier: Apache-2.0
"""A set of ids that never grows: a Bloom filter."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

_BITS = 2**23
_HASHES = 4


class UsedIds:
    """Never says that an id which was added is not in it, but may say that one is in it which was not added.

    With 600,000 ids that happens to one in 250, with 10 million to nearly all; it takes 1 MiB.
    """

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, used: str) -> None:
        """Adds an id."""
        if not self._bits:
            self._bits = bytearray(_BITS // 8)
        for bit in _places(used):
            self._bits[bit // 8] |= 1 << bit % 8

    def __contains__(self, asked: str) -> bool:
        return bool(self._bits) and all(self._bits[bit // 8] >> bit % 8 & 1 for bit in _places(asked))


def _places(text: str) -> Iterator[int]:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4 * _HASHES).digest()
    for start in range(0, len(digest), 4):
        yield int.from_bytes(digest[start : start + 4], "little") % _BITS
