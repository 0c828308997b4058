# SPDX-License-Identifier: Apache-2.0
"""What `gar bench tabletop` seeks by words, and when a search counts as right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gar_ros.bench.tabletop_find import OBJECTS, SEARCHES, Found, Search, find_summary, find_table, searches
from gar_ros.engine.engine import GarEngine
from gar_ros.serving.phrase import Phrase, Score
from gar_ros.sim import phrase_kinds
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


def found(search: Search, *probabilities: float) -> Found:
    """Its candidates with these probabilities, in their order."""
    scores = [
        Score(str(first), probability, "".join(map(str, other)))
        for (first, *other), probability in zip(search.candidates, probabilities, strict=True)
    ]
    return Found(search, tuple(scores))


def test_the_likeliest_candidate_must_be_the_wanted_one() -> None:
    assert found(MUG, 0.1, 0.4, 0.3).right
    assert not found(MUG, 0.5, 0.4, 0.3).right
    assert found(PAIR, 0.1, 0.6, 0.3).right and PAIR.wanted == 1
    assert not found(PAIR, 0.1, 0.2, 0.3).right


def test_words_that_fit_nothing_must_find_nothing() -> None:
    assert found(NOTHING, 0.49, 0.1, 0.2).right
    assert not found(NOTHING, 0.1, 0.5, 0.2).right
    assert Found(NOTHING, ()).right, "a lonely region is in no pair"


def test_miscounted_words_are_judged_by_what_the_service_finds() -> None:
    pairs = (Score("0", 0.1, "1"), Score("1", 0.6, "0"))
    assert Found(MUG, pairs).right and not Found(MUG, pairs).counted
    assert Found(MUG, pairs).answers() == [], "nothing is known of pairs that the words don't name"
    assert found(MUG, 0.1, 0.4, 0.3).counted and found(PAIR, 0.1, 0.6, 0.3).counted


def test_the_summary_counts_searches_and_compares_probabilities_with_the_truth() -> None:
    report = find_summary([found(MUG, 0.0, 1.0, 0.0), found(MUG, 1.0, 0.0, 0.0), found(NOTHING, 0.0, 0.0, 0.0)])
    assert report["searches"]["colour_shape"]["right"] == 0.5
    assert report["searches"]["nothing_near"]["count"] == 1
    assert report["counted"] == 1.0
    assert report["calibration_error"] == pytest.approx(2 / 9)  # two of nine candidates are wrong, all are sure
    assert "| nothing_near | 100.0 | 20.7 to 100.0 | 1 |" in find_table(report)


def test_a_model_is_trained_on_the_same_questions(engine: GarEngine) -> None:
    words, phrase, names = "the red mug", Phrase.parse(engine, "the red mug"), ("<Prompt0>", "<Prompt1>")
    assert (phrase.count.text, phrase.count.choices) == (phrase_kinds.COUNT.format(words), phrase_kinds.COUNTS)
    assert phrase.single.text == phrase_kinds.SINGLE.format(words, names[0])
    assert phrase.pair.text == phrase_kinds.PAIR.format(words, *names)
    assert phrase.reversed_pair.text == phrase_kinds.PAIR.format(words, *names[::-1])
