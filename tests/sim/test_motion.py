# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from gar_ros.sim.contact import YES, gaps_between, rests_in, rests_on
from gar_ros.sim.generate import in_view, random_scene
from gar_ros.sim.motion import STEP, SlowMotion
from gar_ros.sim.scene import Scene
from tests.sim.tabletop import scene_of, thing


def positions(scene: Scene) -> np.ndarray:
    return np.array([item.position for item in scene.objects])


def test_the_same_seed_moves_alike_however_often_one_looks() -> None:
    scene = random_scene(1)
    often, seldom = SlowMotion(scene, 7), SlowMotion(scene, 7)
    for _ in range(40):
        often.advance(STEP / 2)
    assert often.advance(0.0) == seldom.advance(20 * STEP)
    assert SlowMotion(scene, 8).advance(20 * STEP) != seldom.advance(0.0)


def test_a_lone_object_moves_with_the_given_speed() -> None:
    scene = scene_of(thing("ball", 0.0, 0.0))
    moved = SlowMotion(scene, 0, speed=0.02).advance(1.0)
    assert np.linalg.norm(positions(moved) - positions(scene)) == pytest.approx(0.02)


@pytest.mark.parametrize("seed", range(4))
def test_what_touches_stays_together_and_nothing_else_ever_meets(seed: int) -> None:
    scene = random_scene(seed)
    motion = SlowMotion(scene, seed, speed=0.03)
    before = gaps_between(scene.objects, 0.01) < 0.01
    for _ in range(40):
        now = motion.advance(0.5)
        np.testing.assert_array_equal(gaps_between(now.objects, 0.01) < 0.01, before)
        assert in_view(now.camera, now.objects)
    assert np.abs(positions(now) - positions(scene)).max() > 0.02
    np.testing.assert_allclose(positions(now)[:, 2], positions(scene)[:, 2])


def test_stacked_and_inside_stay_so() -> None:
    scene = random_scene(0, (8, 8))
    moved = SlowMotion(scene, 0).advance(5.0)
    for holds in (rests_on, rests_in):
        before, after = (
            [
                (i, j)
                for i, one in enumerate(each.objects)
                for j, two in enumerate(each.objects)
                if holds(one, two) == YES
            ]
            for each in (scene, moved)
        )
        assert before == after
