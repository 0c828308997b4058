# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gar_ros.sim.contact import NO, UNCLEAR, YES
from gar_ros.sim.generate import random_scene
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.scene import SHAPES
from gar_ros.sim.truth import RELATIONS, scene_truth
from tests.sim.tabletop import BACK, DIMENSIONS, SMALL_BALL, thing, truth_of


def test_a_ball_left_of_a_box(renderer: TabletopRenderer) -> None:
    ball, box = thing("ball", -0.1, 0.0), thing("box", 0.1, 0.0, colour="blue")
    truth = truth_of(renderer, ball, box)
    assert {name: (int(truth.relations[name][0, 1]), int(truth.relations[name][1, 0])) for name in RELATIONS} == {
        "left_of": (YES, NO),
        "in_front": (UNCLEAR, UNCLEAR),  # side by side
        "nearer": (UNCLEAR, UNCLEAR),
        "on_top": (NO, NO),
        "inside": (NO, NO),
        "touching": (NO, NO),
        "same_colour": (NO, NO),
        "same_shape": (NO, NO),
        "larger": (UNCLEAR, UNCLEAR),  # both large
    }


def test_left_and_front_are_the_camera_s(renderer: TabletopRenderer) -> None:
    objects = thing("ball", -0.1, -0.06), thing("box", 0.1, 0.06)
    from_front, from_back = truth_of(renderer, *objects), truth_of(renderer, *objects, camera=BACK)
    for name in ("left_of", "in_front", "nearer"):
        assert from_front.relations[name][0, 1] == YES, name
        assert from_back.relations[name][0, 1] == NO, name


def test_nearly_the_same_column_is_neither_left_nor_right(renderer: TabletopRenderer) -> None:
    truth = truth_of(renderer, thing("ball", 0.0, -0.1), thing("ball", 0.005, 0.1))
    assert truth.relations["left_of"][0, 1] == UNCLEAR
    assert truth.relations["in_front"][0, 1] == YES


def test_a_ball_on_a_box(renderer: TabletopRenderer) -> None:
    box = thing("box", 0.0, 0.0)
    truth = truth_of(renderer, thing("ball", 0.005, 0.0, bottom=0.0604, dimensions=SMALL_BALL), box)
    assert truth.relations["on_top"].tolist() == [[UNCLEAR, YES], [NO, UNCLEAR]]  # the diagonal is never asked
    assert truth.relations["inside"][0, 1] == NO
    assert truth.relations["touching"][0, 1] == YES
    assert truth.relations["left_of"][0, 1] == UNCLEAR


def test_of_a_tower_of_three_the_top_and_the_bottom_are_unclear(renderer: TabletopRenderer) -> None:
    tower = [thing("box", 0.0, 0.0, bottom=level * 0.0604) for level in range(3)]
    on_top = truth_of(renderer, *tower).relations["on_top"]
    assert on_top[1, 0] == on_top[2, 1] == YES
    assert on_top[2, 0] == UNCLEAR
    assert on_top[0, 2] == on_top[0, 1] == NO


def test_a_tall_thing_beside_a_low_one_is_not_on_top_of_it(renderer: TabletopRenderer) -> None:
    low = thing("box", 0.0, 0.0, dimensions=(0.06, 0.06, 0.02))
    truth = truth_of(renderer, thing("cylinder", 0.0554, 0.0), low)
    assert truth.relations["on_top"][0, 1] == NO
    assert truth.relations["touching"][0, 1] == YES


def test_a_ball_that_floats_above_a_box_is_unclear(renderer: TabletopRenderer) -> None:
    truth = truth_of(renderer, thing("ball", 0.0, 0.0, bottom=0.08), thing("box", 0.0, 0.0))
    assert truth.relations["on_top"][0, 1] == UNCLEAR


def test_a_ball_inside_a_bowl(renderer: TabletopRenderer) -> None:
    ball = thing("ball", 0.0, 0.0, bottom=0.004, dimensions=SMALL_BALL)
    truth = truth_of(renderer, ball, thing("bowl", 0.0, 0.0))
    assert truth.relations["inside"][0, 1] == YES
    assert truth.relations["inside"][1, 0] == NO
    assert truth.relations["on_top"][0, 1] == UNCLEAR
    assert truth.relations["touching"][0, 1] == YES
    assert truth.askable.all()


def test_a_ball_beside_a_bowl_is_not_inside(renderer: TabletopRenderer) -> None:
    truth = truth_of(renderer, thing("ball", 0.09, 0.0), thing("bowl", 0.0, 0.0))
    assert truth.relations["inside"][0, 1] == NO


@pytest.mark.parametrize(("gap", "expected"), [(0.001, YES), (0.004, UNCLEAR), (0.012, NO)])
def test_touching_has_a_margin(renderer: TabletopRenderer, gap: float, expected: int) -> None:
    truth = truth_of(renderer, thing("box", -0.05, 0.0), thing("box", 0.01 + gap, 0.0))
    assert truth.relations["touching"][0, 1] == expected


def test_a_mug_touches_with_its_handle(renderer: TabletopRenderer) -> None:
    handle_end = DIMENSIONS["mug"][0] * 0.8
    truth = truth_of(renderer, thing("mug", 0.0, 0.0), thing("box", handle_end + 0.0304, 0.0))
    assert truth.relations["touching"][0, 1] == YES


def test_attributes_are_compared(renderer: TabletopRenderer) -> None:
    small_ball = thing("ball", -0.1, 0.0, colour="green", size="small", dimensions=SMALL_BALL)
    truth = truth_of(renderer, small_ball, thing("ball", 0.1, 0.0), thing("mug", 0.0, 0.1, colour="green"))
    assert truth.relations["same_shape"][0].tolist() == [UNCLEAR, YES, NO]
    assert truth.relations["same_colour"][0].tolist() == [UNCLEAR, NO, YES]
    assert truth.relations["larger"][0].tolist() == [UNCLEAR, NO, NO]
    assert truth.relations["larger"][1].tolist() == [YES, UNCLEAR, UNCLEAR]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_object_alone_is_seen_whole(renderer: TabletopRenderer, shape: str) -> None:
    truth = truth_of(renderer, thing(shape, 0.05, 0.0))
    assert truth.visible[0] > 0.94  # the facets that are drawn lie within the true surface
    np.testing.assert_allclose(truth.centroid[0], truth.centre[0], atol=8)  # pixels; a mug's handle pulls


def test_a_hidden_object_is_not_asked_about(renderer: TabletopRenderer) -> None:
    ball = thing("ball", 0.0, 0.12, dimensions=SMALL_BALL)
    wall = thing("box", 0.0, 0.0, dimensions=(0.2, 0.02, 0.15))
    truth = truth_of(renderer, ball, wall)
    assert truth.pixels[0] == 0
    assert truth.askable.tolist() == [False, True]
    assert truth.relations["left_of"][0, 1] == UNCLEAR


def test_half_an_object_outside_the_picture_is_half_seen(renderer: TabletopRenderer) -> None:
    # The left edge is at x = -tan(22.5 deg) * 4/3 * distance along the axis.
    edge = -np.tan(np.radians(22.5)) * 4 / 3 * 0.762
    truth = truth_of(renderer, thing("ball", edge, 0.0))
    assert truth.visible[0] == pytest.approx(0.5, abs=0.06)


def test_closest_needs_a_clear_difference(renderer: TabletopRenderer) -> None:
    truth = truth_of(renderer, *(thing("ball", x, 0.0) for x in (0.0, -0.09, 0.15, 0.07)))
    assert truth.closest(0, (1, 2)) == 1
    assert truth.closest(0, (2, 3)) == 3
    assert truth.closest(0, (1, 3)) is None


def test_between(renderer: TabletopRenderer) -> None:
    truth = truth_of(renderer, *(thing("ball", x, y) for x, y in ((0.0, 0.01), (-0.12, 0.0), (0.12, 0.0), (0.0, 0.06))))
    assert truth.between(0, 1, 2) == truth.between(0, 2, 1) == YES
    assert truth.between(1, 0, 2) == NO
    assert truth.between(3, 1, 2) == UNCLEAR


def test_relations_oppose_and_agree_as_they_must(renderer: TabletopRenderer) -> None:
    for seed in range(10):
        scene = random_scene(seed)
        truth = scene_truth(scene, renderer.render(scene, depth=False).labels)
        for name in ("left_of", "in_front", "nearer", "larger"):
            matrix = truth.relations[name]
            np.testing.assert_array_equal(matrix == YES, matrix.T == NO)
        for name in ("touching", "same_colour", "same_shape"):
            np.testing.assert_array_equal(truth.relations[name], truth.relations[name].T)
        for name in ("on_top", "inside"):
            assert (truth.relations["touching"][truth.relations[name] == YES] == YES).all()


def test_truth_does_not_depend_on_the_resolution(renderer: TabletopRenderer) -> None:
    with TabletopRenderer(640, 480) as large:
        for seed in range(5):
            scene = random_scene(seed)
            one, two = (scene_truth(scene, each.render(scene, depth=False).labels) for each in (renderer, large))
            np.testing.assert_allclose(one.visible, two.visible, atol=0.06)
            for name in RELATIONS:
                opposite = one.relations[name] * two.relations[name] == 0
                assert not (opposite & (one.relations[name] + two.relations[name] == YES)).any(), name


def test_a_turned_capsule_is_seen_whole_too(renderer: TabletopRenderer) -> None:
    lying = replace(thing("capsule", 0.0, 0.0), orientation=(0.7071067811865476, 0.0, 0.7071067811865476, 0.0))
    assert truth_of(renderer, lying).visible[0] > 0.94
