# SPDX-License-Identifier: Apache-2.0
"""Pairs images with what detectors found in them, through clocks that jump and stamps that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gar_ros.messages.stamp_clock import Judgement, StampClock
from gar_ros.messages.stamp_pairing import StampPairing

_IMAGES, _FOUND = 0, 1  # the streams of a StampPairing


class Input(Enum):
    """What a message is: a camera image, what a detector found in one, or its label image."""

    IMAGE = "image"
    REGIONS = "regions"
    INSTANCES = "instances"


@dataclass
class Step:
    """What one message led to.

    pairs: (input, image, what was found in it), as they were given. jump_ns: by how much the clock of the message's
    topic jumped, nanoseconds; 0: it did not. restarted: the clock of the images jumped, what came before is void. odd:
    why the message waits for the next one of its topic, which shows whether its stamp is wrong.
    """

    pairs: list[tuple[Input, Any, Any]] = field(default_factory=list)
    jump_ns: int = 0
    restarted: bool = False
    odd: str = ""


class StreamPairing:
    """Takes the messages of all topics one by one, in the order of their arrival (not thread-safe).

    A single stamp that does not fit costs its message alone. Two in a row are a clock that jumped, ahead or back:
    both topics start over, so that no image meets the regions of another time.
    """

    def __init__(
        self, queue_size: int, slop_ns: int | None, awaited: Callable[[Input], bool] = lambda kind: True
    ) -> None:
        """queue_size, slop_ns: as for StampPairing. awaited: whether messages of an input may come; images don't wait
        for those that won't."""
        self._awaited = awaited
        self._clocks = {kind: StampClock() for kind in Input}
        found = [kind for kind in Input if kind is not Input.IMAGE]
        self._pairings = {kind: StampPairing(queue_size, slop_ns) for kind in found}
        self._odd: dict[Input, tuple[int, Any]] = {}  # the message whose stamp is the clock's odd one
        self._jumped_first: set[Input] = set()  # inputs whose clock has jumped away from that of the images

    def add(self, kind: Input, stamp_ns: int, item: Any, arrived_ns: int) -> Step:
        """What this message leads to. arrived_ns: by a clock that does not jump."""
        clock = self._clocks[kind]
        before = clock.newest_ns
        odd = self._odd.pop(kind, None)
        verdict = clock.judge(stamp_ns, arrived_ns, self._partners(kind))
        step = Step()
        if verdict is Judgement.ODD:
            self._odd[kind] = (stamp_ns, item)
            step.odd = _how_odd(stamp_ns - (before or 0))
            return step
        if verdict is Judgement.JUMPED:
            step.jump_ns = stamp_ns - (before or 0)
            step.restarted = kind is Input.IMAGE
            self._start_over(kind, odd, step)
        self._take(kind, stamp_ns, item, step)
        return step

    def _partners(self, kind: Input) -> list[StampClock]:
        if kind is not Input.IMAGE:
            return [self._clocks[Input.IMAGE]]
        return [self._clocks[other] for other in self._pairings]

    def _start_over(self, kind: Input, odd: tuple[int, Any] | None, step: Step) -> None:
        """Forgets what was of another time than the message of `kind` that made the clock jump; `odd` came before."""
        clock, images = self._clocks[kind], self._clocks[Input.IMAGE]
        now = clock.newest_ns or 0
        if kind is not Input.IMAGE:
            self._pairings[kind].clear(_FOUND)
            self._jumped_first.discard(kind)
            if not images.is_near(now):
                self._pairings[kind].clear(_IMAGES)
                self._jumped_first.add(kind)
        else:
            for other, pairing in self._pairings.items():
                pairing.clear(_IMAGES)
                if other not in self._jumped_first or not self._clocks[other].is_near(now):
                    pairing.clear(_FOUND)
                    self._clocks[other].restart(None)
            self._jumped_first.clear()
        waiting = {kind: odd} if odd is not None else {}
        if kind is Input.IMAGE:
            waiting |= {other: self._odd.pop(other) for other in self._pairings if other in self._odd}
        for topic, (stamp_ns, item) in waiting.items():
            if clock.is_near(stamp_ns):
                self._clocks[topic].restart(max(stamp_ns, self._clocks[topic].newest_ns or stamp_ns))
                self._take(topic, stamp_ns, item, step)

    def _take(self, kind: Input, stamp_ns: int, item: Any, step: Step) -> None:
        if kind is not Input.IMAGE:
            self._note(kind, self._pairings[kind].add(_FOUND, stamp_ns, item), step)
            return
        for other, pairing in self._pairings.items():
            if self._awaited(other):
                self._note(other, pairing.add(_IMAGES, stamp_ns, item), step)

    def _note(self, kind: Input, pair: tuple[Any, Any] | None, step: Step) -> None:
        if pair is not None:
            step.pairs.append((kind, *pair))


def _how_odd(ahead_ns: int) -> str:
    where = "ahead of" if ahead_ns > 0 else "behind"
    return (
        f"header.stamp is {_span(abs(ahead_ns))} {where} the stamps before it; unless the next stamp continues from "
        "it, the message is left out"
    )


def _span(nanoseconds: int) -> str:
    """Rounded, so that messages of one cause read the same."""
    seconds = nanoseconds / 1e9
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
