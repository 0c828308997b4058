# SPDX-License-Identifier: Apache-2.0
"""Verdicts on a table of three objects: 1 lies in 2, 3 touches 2."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gar_ros.demo.judge import Fact, answer_row, free_row, graph_rows, object_index, order_row, true_facts
from gar_ros.demo.table import MISSED, RIGHT, WRONG, Row
from gar_ros.sim.contact import UNCLEAR, YES
from gar_ros.sim.generate import random_scene
from gar_ros.sim.questions import Question
from gar_ros.sim.truth import RELATIONS, SceneTruth, scene_truth

IDS = ["1", "2", "3"]


@pytest.fixture
def truth() -> SceneTruth:
    """Its relations are set here, by index of the object; on_top is unclear for what lies inside."""
    relations = {name: np.zeros((3, 3), np.int8) for name in RELATIONS}
    relations["inside"][0, 1] = YES
    relations["on_top"][0, 1] = UNCLEAR
    for one, other in ((0, 1), (1, 2)):
        relations["touching"][one, other] = relations["touching"][other, one] = YES
    return replace(scene_truth(random_scene(0, (3, 3)), np.zeros((48, 64), np.uint8)), relations=relations)


def test_an_answer_is_compared_and_told_with_region_ids() -> None:
    choices = ("<Prompt0>", "<Prompt1>")
    question = Question("larger", "Which is larger, <Prompt0> or <Prompt1>?", (2, 10), choices, "<Prompt1>")
    assert answer_row(question, ["3", "11"], "<Prompt1>", 0.9, 0.1) == Row(
        RIGHT, "Which is larger, 3 or 11?", "11", "11", 0.9, 0.1
    )
    assert answer_row(question, ["3", "11"], "<Prompt0>", 0.9, 0.1).verdict == WRONG


def test_a_track_that_was_lost_is_still_its_object() -> None:
    assert [object_index(region) for region in ("5", "12", "5#2")] == [4, 11, 4]


def test_the_simulator_s_facts(truth: SceneTruth) -> None:
    assert true_facts(truth, IDS, ("inside", "on top of")) == [Fact("1", "inside", "2")]
    assert true_facts(truth, ["2", "3"], ("touching",)) == [Fact("2", "touching", "3"), Fact("3", "touching", "2")]


def test_what_can_be_picked_has_nothing_on_or_in_it(truth: SceneTruth) -> None:
    assert free_row(IDS, [Fact("1", "on top of", "2")], 0.8, truth).answer == "1 3"
    assert free_row(IDS, [Fact("1", "inside", "2")], 0.8, truth).verdict == RIGHT
    nothing_found = free_row(IDS, [], None, truth)
    assert (nothing_found.verdict, nothing_found.answer, nothing_found.truth) == (WRONG, "1 2 3", "1 3")


def test_facts_are_right_wrong_unclear_or_missed(truth: SceneTruth) -> None:
    graph = [
        Fact("1", "inside", "2", 0.9),
        Fact("1", "on top of", "2", 0.8),
        Fact("3", "inside", "2", 0.7),
        Fact("1", "touching", "2", 0.6),
        Fact("2", "touching", "1", 0.95),
        Fact("2", "touching", "3", 0.5),
    ]
    rows = graph_rows(graph, IDS, truth, 0.5)
    assert [(row.verdict, row.asked, row.truth) for row in rows] == [
        (RIGHT, "2 touching 1", "true"),
        (RIGHT, "1 inside 2", "true"),
        ("", "1 on top of 2", "unclear"),
        (WRONG, "3 inside 2", "false"),
        (RIGHT, "1 touching 2", "true"),
        (RIGHT, "2 touching 3", "true"),
        (MISSED, "3 touching 2", "true"),
    ]
    assert rows[-1].answer == "< 0.5" and rows[-1].probability is None


def test_an_order_is_right_when_nothing_lies_on_what_is_picked(truth: SceneTruth) -> None:
    seen = order_row(IDS, [Fact("1", "inside", "2")], truth)
    assert (seen.verdict, seen.answer, seen.truth) == (RIGHT, "1 2 3", "1 2 3")
    cautious = order_row(IDS, [Fact("1", "inside", "2"), Fact("3", "on top of", "1")], truth)
    assert (cautious.verdict, cautious.answer) == (RIGHT, "3 1 2")
    reversed_order = order_row(IDS, [Fact("2", "inside", "1")], truth)
    assert (reversed_order.verdict, reversed_order.answer) == (WRONG, "2 1 3")
