# SPDX-License-Identifier: Apache-2.0
"""Tells a topic's stamps that go on from those that don't: single wrong ones, and a clock that jumped."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

CLOCK_JUMP_NS = 1_000_000_000
"""A stamp that much before the newest one is no late message: it is wrong, or the clock went back."""
GAP_NS = 2_000_000_000
"""A stamp may be that much ahead of the newest one, besides the time that has passed: a bag may be played fast."""
_CATCH_UP_NS = 30_000_000_000
"""Messages that waited this long, while this process had no time for them, may be followed by present ones."""
_ODD_LIMIT = 3
"""So many odd stamps in a row are no single wrong ones, even where none goes on from another."""
_NEAR_NS = 5_000_000_000
"""Topics whose newest stamps differ by less have the same clock."""


class Judgement(Enum):
    """What a stamp says about its topic.

    GOES_ON: it follows the stamps before. ODD: it does not, which the next message explains: that one goes on either
    from the stamps before (this stamp alone was wrong) or from this stamp. JUMPED: the clock is another now (a bag
    loops, a simulator was reset, the system's time was set).
    """

    GOES_ON = "goes on"
    ODD = "odd"
    JUMPED = "jumped"


class StampClock:
    """The stamps of one topic."""

    def __init__(self) -> None:
        self.newest_ns: int | None = None
        """The newest stamp that goes on from those before, nanoseconds; None before the first."""
        self._odd: list[int] = []  # the last stamps, while they are odd
        self._before_ns: int | None = None  # the newest stamp before a step ahead that may have been one wrong stamp's
        self._arrived_ns: int | None = None
        self._gap_ns = GAP_NS
        self._behind_ns = 0  # by how much the stamps have fallen behind the time that has passed

    def judge(self, stamp_ns: int, arrived_ns: int, others: Iterable[StampClock]) -> Judgement:
        """What the stamp of a new message says. arrived_ns: when it came, by a clock that does not jump. others: the
        clocks of the topics that it has to pair with; a topic that comes back to their time needs no second message.
        """
        passed = 0 if self._arrived_ns is None else max(arrived_ns - self._arrived_ns, 0)
        self._arrived_ns = arrived_ns
        newest = self.newest_ns
        if newest is None:
            self.newest_ns = stamp_ns
        elif self._confirms(stamp_ns, newest, passed):
            self.restart(stamp_ns)
            return Judgement.JUMPED
        elif self._goes_on(stamp_ns, newest, passed, self._behind_ns):
            self._before_ns = newest if stamp_ns > newest + CLOCK_JUMP_NS else None
            self.newest_ns = max(newest, stamp_ns)
            behind = self._behind_ns + passed - (self.newest_ns - newest)
            self._behind_ns = min(max(behind, 0), _CATCH_UP_NS)
        elif self._before_ns is not None and self._goes_on(stamp_ns, self._before_ns, passed):
            self._before_ns, self.newest_ns = None, stamp_ns  # the one message between was wrong
        elif any(other.is_near(stamp_ns) and not other.is_near(newest) for other in others):
            self.restart(stamp_ns)
            return Judgement.JUMPED
        elif len(self._odd) + 1 == _ODD_LIMIT:
            step = stamp_ns - self._odd[-1]
            self.restart(stamp_ns)
            self._gap_ns = max(GAP_NS, 2 * step)  # a slow camera in a bag that is played fast
            return Judgement.JUMPED
        else:
            self._odd.append(stamp_ns)
            return Judgement.ODD
        self._odd = []
        return Judgement.GOES_ON

    def is_near(self, stamp_ns: int) -> bool:
        """Whether a stamp of another topic is of the same time."""
        return self.newest_ns is not None and abs(stamp_ns - self.newest_ns) <= _NEAR_NS

    def restart(self, stamp_ns: int | None) -> None:
        """Goes on from this stamp, or from any where it is None."""
        self.newest_ns, self._odd, self._before_ns = stamp_ns, [], None
        self._gap_ns, self._behind_ns = GAP_NS, 0

    def _confirms(self, stamp_ns: int, newest_ns: int, passed_ns: int) -> bool:
        """Whether a stamp goes on from the odd one before it rather than from those before that."""
        if not self._odd or not self._goes_on(stamp_ns, self._odd[-1], passed_ns):
            return False
        return abs(stamp_ns - self._odd[-1]) < abs(stamp_ns - newest_ns)

    def _goes_on(self, stamp_ns: int, newest_ns: int, passed_ns: int, behind_ns: int = 0) -> bool:
        late_ns = CLOCK_JUMP_NS if passed_ns <= CLOCK_JUMP_NS else 0  # after a pause no message is a late one
        return -late_ns <= stamp_ns - newest_ns <= self._gap_ns + passed_ns + behind_ns
