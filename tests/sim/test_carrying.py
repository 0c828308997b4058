# SPDX-License-Identifier: Apache-2.0
"""An object that is taken out of its bowl and put back."""

from __future__ import annotations

import numpy as np
import pytest

from gar_ros.sim.carrying import CYCLE, MOVE, Carrying
from gar_ros.sim.contact import NO, YES, gaps_between, rests_in
from gar_ros.sim.motion import STEP
from gar_ros.sim.scene import Scene
from gar_ros.sim.timeline import DEMO_SEED, LENGTH, Timeline

SECOND = 10**9


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return Timeline(DEMO_SEED, carry=True)


@pytest.fixture
def carrying(timeline: Timeline) -> Carrying:
    assert timeline.carrying is not None
    return timeline.carrying


def inside(scene: Scene, carrying: Carrying) -> int:
    return rests_in(scene.objects[carrying.item], scene.objects[carrying.bowl])


def test_half_of_each_cycle_is_in_the_bowl_and_half_out_of_it(timeline: Timeline, carrying: Carrying) -> None:
    for cycle in range(4):
        for second in (0.0, 2.0, CYCLE / 2 - MOVE):
            assert inside(timeline.at(round((cycle * CYCLE + second) * SECOND)), carrying) == YES
        for second in (CYCLE / 2, CYCLE / 2 + 2.0, CYCLE - MOVE):
            assert inside(timeline.at(round((cycle * CYCLE + second) * SECOND)), carrying) == NO


def test_it_touches_nothing_beside_the_bowl(timeline: Timeline, carrying: Carrying) -> None:
    for second in np.arange(CYCLE / 2, 2 * LENGTH, CYCLE):
        gaps = gaps_between(timeline.at(round(second * SECOND)).objects, 0.05)
        assert gaps[carrying.item].min() > 0.01


def test_it_is_carried_and_does_not_jump(timeline: Timeline, carrying: Carrying) -> None:
    stamps = np.arange(0.0, CYCLE, STEP) * SECOND
    path = np.array([timeline.at(round(stamp)).objects[carrying.item].position for stamp in stamps])
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 0.05  # metres a step
    assert np.ptp(path[:, 2]) > 0.1


def test_everything_else_is_as_without_it(timeline: Timeline, carrying: Carrying) -> None:
    stamp = round(7.0 * SECOND)
    plain = Timeline(DEMO_SEED).at(stamp).objects
    for index, item in enumerate(timeline.at(stamp).objects):
        assert (item == plain[index]) is (index != carrying.item)


def test_a_scene_without_a_thing_in_a_bowl_has_nothing_to_carry() -> None:
    scene = Timeline(DEMO_SEED).at(0)
    boxes = Scene(**{**vars(scene), "objects": scene.objects[:2]})
    assert Carrying.of([boxes]) is None
