# SPDX-License-Identifier: Apache-2.0
"""Changed inputs, for machines without a coverage-guided fuzzer and for the tests' small budget."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_ODD = (b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"1e999")
_LONGEST = 4096  # bytes


def changed_inputs(seeds: Sequence[bytes], seed: int = 0) -> Iterator[bytes]:
    """The seeds, then endless changes of them; the same for the same seed."""
    yield from seeds
    chance = random.Random(seed)  # noqa: S311, no secret
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 3, 8))):
            _change(data, chance, seeds)
        yield bytes(data[:_LONGEST])


def _change(data: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    at, length = chance.randrange(len(data) + 1), chance.choice((1, 2, 4, 16, 64))
    kind = chance.randrange(7)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = chance.randrange(256)
    elif kind == 2:
        odd = chance.choice(_ODD)
        data[at : at + len(odd)] = odd
    elif kind == 3:
        del data[at : at + length]
    elif kind == 4:
        data[at:at] = data[at : at + length]
    elif kind == 5:
        del data[at:]
    else:
        other = chance.choice(seeds)
        start = chance.randrange(len(other) + 1)
        data[at : at + length] = other[start : start + length]
