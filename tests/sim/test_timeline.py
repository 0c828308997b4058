# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from gar_ros.sim.motion import STEP
from gar_ros.sim.scene import Scene
from gar_ros.sim.timeline import LENGTH, OBJECTS, Timeline

SECOND = 1_000_000_000
UNIX_TIME = 1_800_000_000 * SECOND


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return Timeline(7)


def positions(scene: Scene) -> np.ndarray:
    return np.array([item.position for item in scene.objects])


def test_another_process_with_the_same_seed_sees_the_same(timeline: Timeline) -> None:
    other = Timeline(7)
    for stamp in (0, UNIX_TIME, UNIX_TIME + 123_456_789):
        assert timeline.at(stamp) == other.at(stamp)
    assert Timeline(8).at(0) != timeline.at(0)


def test_objects_move_but_slowly_and_never_jump(timeline: Timeline) -> None:
    step = round(STEP * SECOND)
    stamps = range(UNIX_TIME, UNIX_TIME + round(2 * LENGTH * SECOND) + step, step)
    path = np.array([positions(timeline.at(stamp)) for stamp in stamps])
    assert np.linalg.norm(np.diff(path, axis=0), axis=2).max() < 0.002  # metres a step
    assert np.ptp(path, axis=0).max() > 0.02


def test_it_starts_over_after_going_forth_and_back(timeline: Timeline) -> None:
    period = round(2 * LENGTH * SECOND)
    assert timeline.at(UNIX_TIME + 5 * SECOND) == timeline.at(UNIX_TIME + 5 * SECOND + period)
    assert timeline.at(3 * SECOND) == timeline.at(period - 3 * SECOND)


def test_there_are_enough_objects_for_questions_about_three(timeline: Timeline) -> None:
    assert OBJECTS[0] <= len(timeline.at(0).objects) <= OBJECTS[1]
