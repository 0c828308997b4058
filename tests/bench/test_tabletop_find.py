# SPDX-License-Identifier: Apache-2.0
"""What `gar bench tabletop` seeks by words, and when a search counts as right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gar_ros.bench.tabletop_find import OBJECTS, SEARCHES, Found, Search, find_summary, find_table, searches
from gar_ros.sim.generate import random_scene
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.truth import SceneTruth, scene_truth

ALONE = ((0,), (1,), (2,))
MUG = Search("colour_shape", "a red mug", ALONE, (False, True, False))
NOTHING = Search("nothing_near", "a red box", ALONE, (False, False, False))
PAIR = Search("relation", "the ball inside the bowl", ((0, 1), (1, 0), (0, 2)), (False, True, False))


@pytest.fixture(scope="module")
def truths() -> Iterator[list[SceneTruth]]:
    with TabletopRenderer(320, 240) as renderer:
        scenes = [random_scene(seed, (OBJECTS, OBJECTS)) for seed in range(12)]
        yield [scene_truth(scene, renderer.render(scene, depth=False).labels) for scene in scenes]


def test_a_search_fits_one_object_or_none(truths: list[SceneTruth]) -> None:
    names = set()
    for truth in truths:
        for search in searches(truth, np.random.default_rng(0)):
            names.add(search.name)
            assert all(truth.askable[index] for candidate in search.candidates for index in candidate)
            assert (search.wanted is None) == search.name.startswith("nothing")
            assert {len(candidate) for candidate in search.candidates} == {2 if search.name == "relation" else 1}
    assert names == set(SEARCHES)


def test_the_likeliest_candidate_must_be_the_wanted_one() -> None:
    assert Found(MUG, (0.1, 0.4, 0.3)).right
    assert not Found(MUG, (0.5, 0.4, 0.3)).right
    assert Found(PAIR, (0.1, 0.6, 0.3)).right and PAIR.wanted == 1
    assert not Found(PAIR, (0.1, 0.2, 0.3)).right


def test_words_that_fit_nothing_must_find_nothing() -> None:
    assert Found(NOTHING, (0.49, 0.1, 0.2)).right
    assert not Found(NOTHING, (0.1, 0.5, 0.2)).right


def test_the_summary_counts_searches_and_compares_probabilities_with_the_truth() -> None:
    report = find_summary([Found(MUG, (0.0, 1.0, 0.0)), Found(MUG, (1.0, 0.0, 0.0)), Found(NOTHING, (0.0, 0.0, 0.0))])
    assert report["searches"]["colour_shape"]["right"] == 0.5
    assert report["searches"]["nothing_near"]["count"] == 1
    assert report["calibration_error"] == pytest.approx(2 / 9)  # two of nine candidates are wrong, all are sure
    assert "| nothing_near | 100.0 | 20.7 to 100.0 | 1 |" in find_table(report)
