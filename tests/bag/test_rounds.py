# SPDX-License-Identifier: Apache-2.0
"""Stamps that come again in a bag: whatever is missing, no image meets what was found in that of another round."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gar_ros.bag.rounds import Noted, by_round

SECOND = 1_000_000_000
PERIOD = SECOND // 10


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(15, 40), min_size=2, max_size=4),
    resets=st.lists(st.sampled_from([0, 0, -5 * SECOND, 5 * SECOND, 3600 * SECOND]), min_size=4, max_size=4),
    pauses=st.lists(st.sampled_from([2 * SECOND, 60 * SECOND]), min_size=4, max_size=4),
    lag=st.sampled_from([0, SECOND // 20, SECOND]),
    missing=st.sets(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 39)), max_size=60),
)
def test_rounds_are_kept_apart(
    lengths: list[int], resets: list[int], pauses: list[int], lag: int, missing: set[tuple[bool, int, int]]
) -> None:
    images: dict[Noted, tuple[int, int]] = {}
    found: dict[Noted, tuple[int, int]] = {}
    logged = 1000 * SECOND
    for number, length in enumerate(lengths):
        for index in range(length):
            stamp, at = 500 * SECOND + resets[number] + index * PERIOD, logged + index * PERIOD
            if (True, number, index) not in missing:
                images[Noted(len(images), stamp, at)] = (number, index)
            if (False, number, index) not in missing:
                found[Noted(len(found), stamp, at + lag)] = (number, index)
        logged += length * PERIOD + pauses[number]
    pairs = {
        (images[image], found[one])
        for part, belonging in by_round(list(images), list(found))
        for image in part
        for one in belonging
        if one.stamp_ns == image.stamp_ns
    }
    assert {image for image, _ in pairs} == {one for _, one in pairs} == {*images.values()} & {*found.values()}
    assert all(image == one for image, one in pairs)
