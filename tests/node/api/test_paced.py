# SPDX-License-Identifier: Apache-2.0
"""A burst of refusals is spread over time."""

from __future__ import annotations

import pytest

from gar_ros.node.api import paced
from gar_ros.node.api.paced import AT_ONCE, PacedGroup


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(paced, "time", clock)
    return clock


def taken(group: PacedGroup, clock: Clock, count: int, refused: bool) -> list[float]:
    """Seconds after which each of so many requests is taken."""
    start, times = clock.now, []
    for _ in range(count):
        assert group.beginning_execution(None)
        times.append(clock.now - start)
        if refused:
            group.refused()
    return times


def test_answers_are_not_slowed(clock: Clock) -> None:
    assert taken(PacedGroup(lambda: 5), clock, 50, refused=False) == [0.0] * 50


def test_refusals_of_a_burst_come_one_after_another(clock: Clock) -> None:
    times = taken(PacedGroup(lambda: 5), clock, AT_ONCE + 4, refused=True)
    assert times == pytest.approx([0.0] * (AT_ONCE + 1) + [0.015, 0.03, 0.045])


def test_many_clients_need_more_time_up_to_a_limit(clock: Clock) -> None:
    times = taken(PacedGroup(lambda: 1000), clock, AT_ONCE + 2, refused=True)
    assert times[-1] == pytest.approx(0.025)


def test_after_a_quiet_time_refusals_come_at_once_again(clock: Clock) -> None:
    group = PacedGroup(lambda: 5)
    taken(group, clock, 20, refused=True)
    clock.sleep(1.0)
    assert taken(group, clock, AT_ONCE, refused=True) == [0.0] * AT_ONCE
