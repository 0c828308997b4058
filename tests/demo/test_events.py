# SPDX-License-Identifier: Apache-2.0
"""Whether the planner was told of an event in time and not before."""

from __future__ import annotations

import pytest

from gar_ros.demo.events import event_row, lateness
from gar_ros.demo.table import RIGHT, WRONG
from gar_ros.sim.carrying import CYCLE, MOVE
from gar_ros.sim.timeline import DEMO_SEED, Timeline

SECOND = 10**9
FIRST = 100 * round(CYCLE) * SECOND  # a cycle begins: the object is back in its bowl


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return Timeline(DEMO_SEED, carry=True)


def at(seconds: float) -> int:
    return FIRST + round(seconds * SECOND)


def test_lateness_counts_from_the_event(timeline: Timeline) -> None:
    assert lateness(timeline, at(0.5), comes_in=True) == pytest.approx(0.5, abs=MOVE / 3)
    assert lateness(timeline, at(CYCLE / 2 + 0.5), comes_in=False) == pytest.approx(0.5, abs=MOVE)


def test_what_was_told_before_has_none(timeline: Timeline) -> None:
    assert lateness(timeline, at(-MOVE), comes_in=True) is None
    assert lateness(timeline, at(1.0), comes_in=False) is None


def test_on_its_way_in_is_not_too_early(timeline: Timeline) -> None:
    late = lateness(timeline, at(-0.1), comes_in=True)
    assert late is not None
    assert -MOVE / 3 <= late < 0.0


def test_nothing_is_carried_in_another_scene() -> None:
    assert lateness(Timeline(DEMO_SEED), at(0.5), comes_in=True) is None


@pytest.mark.parametrize(("late", "verdict"), [(0.3, RIGHT), (-0.05, RIGHT), (1.2, WRONG), (None, WRONG)])
def test_the_verdict(late: float | None, verdict: str) -> None:
    row = event_row("Is <Prompt0> inside <Prompt1>?", ["4", "3"], "yes", 0.98, late)
    assert row.verdict == verdict
    assert row.asked == "Told: Is 4 inside 3? yes"
