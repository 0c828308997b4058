# SPDX-License-Identifier: Apache-2.0
"""What the demo looks for on a table with two green balls, a green box in a red bowl, and a black mug."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gar_ros.demo.searches import NOTHING, Search, draw_searches, search_row
from gar_ros.demo.table import RIGHT, WRONG, Row
from gar_ros.sim.contact import YES
from gar_ros.sim.generate import random_scene
from gar_ros.sim.truth import RELATIONS, SceneTruth, scene_truth

KINDS = [("green", "ball"), ("green", "ball"), ("green", "box"), ("red", "bowl"), ("black", "mug")]
IDS = ["1", "2", "3", "4", "5"]


@pytest.fixture
def truth() -> SceneTruth:
    scene = random_scene(0, (5, 5))
    objects = [
        replace(item, colour=colour, shape=shape) for item, (colour, shape) in zip(scene.objects, KINDS, strict=True)
    ]
    relations = {name: np.zeros((5, 5), np.int8) for name in RELATIONS}
    relations["inside"][2, 3] = relations["inside"][0, 3] = YES
    truth = scene_truth(scene, np.zeros((48, 64), np.uint8))
    return replace(truth, scene=replace(scene, objects=tuple(objects)), askable=np.ones(5, bool), relations=relations)


def test_words_describe_exactly_one_region_or_none(truth: SceneTruth) -> None:
    for seed in range(9):
        *named, related, absent = draw_searches(truth, IDS, np.random.default_rng(seed))
        assert set(named) < {
            Search("the green box", "3"), Search("the red bowl", "4"), Search("the black mug", "5"),
        }  # fmt: skip
        assert related == Search("the green box inside the red bowl", "3"), "not the ball, of which there are two"
        assert absent.region == NOTHING and tuple(absent.words.split()[1:]) not in KINDS


def test_what_is_hidden_is_not_looked_for(truth: SceneTruth) -> None:
    hidden = replace(truth, askable=np.array([True, True, False, False, True]))
    searches = draw_searches(hidden, IDS, np.random.default_rng(0))
    assert [search.region for search in searches] == ["5", NOTHING]


def test_the_likeliest_region_is_compared() -> None:
    search = Search("the red bowl", "4")
    assert search_row(search, [("4", 0.9), ("3", 0.6)], 0.1) == Row(RIGHT, 'Find "the red bowl"', "4", "4", 0.9, 0.1)
    assert search_row(search, [("3", 0.9), ("4", 0.6)], 0.1).verdict == WRONG
    assert search_row(search, [], 0.1) == Row(WRONG, 'Find "the red bowl"', NOTHING, "4", None, 0.1)
    assert search_row(Search("the red ball", NOTHING), [], 0.1).verdict == RIGHT
