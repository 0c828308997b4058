# SPDX-License-Identifier: Apache-2.0
"""Rounds of a bag in which stamps come again: a simulator was reset, or a recorded bag was played in loops."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from statistics import median_low
from typing import NamedTuple

from gar_ros.messages.stamp_clock import CLOCK_JUMP_NS

_EARLY_NS = 200_000_000
"""What was found in an image may be recorded that much before it, by chance."""


class Noted(NamedTuple):
    """What pairing needs of a message. number: among the messages of the topics that are read, in their order."""

    number: int
    stamp_ns: int
    logged_ns: int


class _Round:
    """Images whose stamps don't come again."""

    def __init__(self, images: list[Noted], pause_ns: int) -> None:
        """pause_ns: time without images before the next round."""
        self.images = images
        self.found: list[Noted] = []
        self._by_stamp = sorted(images, key=lambda one: one.stamp_ns)
        self._stamps = [one.stamp_ns for one in self._by_stamp]
        self._length_ns = self._stamps[-1] - self._stamps[0] + pause_ns

    def lag_ns(self, found: Noted) -> int | None:
        """How long after its image this was recorded if it is of this round, by the image nearest in stamps; None
        where it can't be of this round."""
        after = bisect_left(self._stamps, found.stamp_ns)
        around = self._by_stamp[max(after - 1, 0) : after + 1]
        nearest = min(around, key=lambda one: abs(one.stamp_ns - found.stamp_ns))
        apart = found.stamp_ns - nearest.stamp_ns
        if not -CLOCK_JUMP_NS <= found.stamp_ns - self._stamps[0] <= self._length_ns + CLOCK_JUMP_NS:
            return None
        return found.logged_ns - nearest.logged_ns - apart


def by_round(images: list[Noted], found: list[Noted]) -> list[tuple[list[Noted], list[Noted]]]:
    """The images of each round with what was found in them, both in the order of recording.

    Which round something is of is told by how long after its image it was recorded: about as long as most others.
    """
    parts = _split(images)
    begins = [part[0].logged_ns for part in parts]
    ends = [max(one.logged_ns for one in part) for part in parts]
    pauses = [max(begin - end, 0) for begin, end in zip(begins[1:], ends, strict=False)]
    rounds = [_Round(part, pause) for part, pause in zip(parts, [*pauses, 0], strict=True)]
    lag = _usual_lag(images, found)
    for one in found:
        at = bisect_right(begins, one.logged_ns - lag)
        near = [(candidate, candidate.lag_ns(one)) for candidate in rounds[max(at - 2, 0) : at + 1]]
        known = sorted((abs(own - lag), index) for index, (_, own) in enumerate(near) if own is not None)
        if known and (len(known) == 1 or 2 * known[0][0] < known[1][0]):  # else it may be of either
            near[known[0][1]][0].found.append(one)
    return [(one.images, one.found) for one in rounds]


def _split(images: Iterable[Noted]) -> list[list[Noted]]:
    rounds: list[list[Noted]] = []
    seen: set[int] = set()
    newest = 0
    for image in images:
        if not rounds or image.stamp_ns in seen or image.stamp_ns < newest - CLOCK_JUMP_NS:
            rounds.append([])
            seen, newest = set(), image.stamp_ns
        rounds[-1].append(image)
        seen.add(image.stamp_ns)
        newest = max(newest, image.stamp_ns)
    return rounds


def _usual_lag(images: Iterable[Noted], found: Iterable[Noted]) -> int:
    """The median time between an image and what was found in it, nanoseconds, as recorded; of images of the same stamp
    the last before it counts."""
    logged: dict[int, list[int]] = {}
    for image in images:
        logged.setdefault(image.stamp_ns, []).append(image.logged_ns)
    lags = []
    for one in found:
        own = [one.logged_ns - at for at in logged.get(one.stamp_ns, ())]
        near = [lag for lag in own if lag >= -_EARLY_NS]
        lags += [min(near, key=abs)] if near else []
    return median_low(lags) if lags else 0
