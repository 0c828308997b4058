# SPDX-License-Identifier: Apache-2.0
"""Pick orders and PDDL facts from relations."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from gar_ros.planning import pddl_facts, pick_order


class Fact(NamedTuple):
    """A relation as the scene graph has it."""

    subject: str
    predicate: str
    object: str
    probability: float = 0.9


def test_what_lies_on_or_in_something_is_picked_first() -> None:
    facts = [Fact("3", "inside", "1"), Fact("4", "on top of", "3"), Fact("1", "to the left of", "2")]
    assert pick_order(["1", "2", "3", "4"], facts) == ["2", "4", "3", "1"]


def test_without_relations_the_given_order_stays() -> None:
    assert pick_order(["b", "a", "c"], []) == ["b", "a", "c"]


def test_of_a_contradiction_the_least_probable_relation_is_dropped() -> None:
    circle = [Fact("1", "on top of", "2", 0.6), Fact("2", "on top of", "3", 0.9), Fact("3", "inside", "1", 0.8)]
    assert pick_order(["1", "2", "3"], circle) == ["2", "3", "1"]
    assert pick_order(["1", "2"], [Fact("1", "on top of", "2", 0.6), Fact("2", "inside", "1", 0.7)]) == ["2", "1"]


def test_a_region_that_is_not_to_be_picked_holds_nothing_up() -> None:
    assert pick_order(["1", "2"], [Fact("9", "on top of", "1")]) == ["1", "2"]


def test_the_graph_becomes_pddl() -> None:
    facts = pddl_facts(["7", "cup/2"], [Fact("cup/2", "on top of", "7")])
    assert facts == "(:objects region_7 region_cup_2 - region)\n(:init\n  (on_top_of region_cup_2 region_7)\n)"


def test_ids_that_pddl_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match=r"differ as PDDL names, got \['a 1', 'a/1'\]"):
        pddl_facts(["a/1", "a 1"], [])


@pytest.mark.parametrize("wrong", ["17", b"17", [17], ["1", None]])
def test_a_text_or_numbers_are_no_list_of_ids(wrong: Any) -> None:
    for call in (pick_order, pddl_facts):
        with pytest.raises(TypeError, match="region_ids: expected a sequence of texts"):
            call(wrong, [])


def test_one_predicate_is_no_list_of_predicates() -> None:
    with pytest.raises(TypeError, match="holds_down"):
        pick_order(["1"], [], "on top of")


@pytest.mark.parametrize("kind", ["", "two words", "(", "1"])
def test_a_type_is_a_pddl_name(kind: str) -> None:
    with pytest.raises(ValueError, match="kind: expected a PDDL name"):
        pddl_facts(["1"], [], kind)
