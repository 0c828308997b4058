# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from gar_ros.memory.scene_graph import Relation
from gar_ros.messages.relation_texts import relation_texts


def test_each_direction_has_its_own_lines() -> None:
    facts = [
        Relation("a", "inside", "b", 0.9),
        Relation("b", "in front of", "a", 0.8),
        Relation("a", "on top of", "b", 1),
    ]
    assert relation_texts(facts) == {("a", "b"): ["inside 0.90", "on top of 1.00"], ("b", "a"): ["in front of 0.80"]}


def test_touching_is_drawn_once_with_the_larger_probability() -> None:
    facts = [Relation("b", "touching", "a", 0.6), Relation("a", "touching", "b", 0.7)]
    assert relation_texts(facts) == relation_texts(facts[::-1]) == {("a", "b"): ["touching 0.70"]}


def test_touching_joins_the_arrow_that_is_there() -> None:
    facts = [Relation("a", "touching", "b", 0.7), Relation("b", "inside", "a", 0.9)]
    assert relation_texts(facts) == {("b", "a"): ["inside 0.90", "touching 0.70"]}
