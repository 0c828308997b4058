# SPDX-License-Identifier: Apache-2.0
"""Arrows don't blink: a graph is drawn until the next one comes."""

from __future__ import annotations

import pytest

from gar_ros.memory.drawn_graph import DrawnGraph
from gar_ros.memory.scene_graph import Relation, SceneGraph

PERIOD = 2.0  # seconds
TOUCHING = ("touching",)


class Clock:
    """Steady seconds that only the test advances."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def drawn(clock: Clock) -> DrawnGraph:
    return DrawnGraph(PERIOD, clock)


def graph(subject: str, latency: float = 0.5) -> SceneGraph:
    """It touches b and is to its left. latency: seconds."""
    relations = (Relation(subject, "touching", "b", 0.9), Relation(subject, "to the left of", "b", 0.9))
    return SceneGraph(0, "optical", (subject, "b"), TOUCHING, 0.5, relations, 2, 0, round(latency * 1e9))


def subjects(drawn: DrawnGraph) -> list[str]:
    return [relation.subject for relation in drawn.relations(TOUCHING)]


def test_a_graph_is_drawn_for_three_periods(drawn: DrawnGraph, clock: Clock) -> None:
    assert subjects(drawn) == []
    drawn.show(graph("a"), complete=True)
    clock.now += 3 * PERIOD - 0.01
    assert subjects(drawn) == ["a"]
    clock.now += 0.01
    assert subjects(drawn) == []


def test_the_next_graph_replaces_it_at_once(drawn: DrawnGraph) -> None:
    drawn.show(graph("a"), complete=True)
    drawn.show(graph("c"), complete=True)
    assert subjects(drawn) == ["c"]


def test_graphs_that_take_long_are_kept_long(drawn: DrawnGraph, clock: Clock) -> None:
    """The next one can only come when as much time has passed."""
    drawn.show(graph("a", latency=10.0), complete=True)
    clock.now += 29.9
    assert subjects(drawn) == ["a"]


def test_one_that_was_interrupted_replaces_none_that_is_drawn(drawn: DrawnGraph, clock: Clock) -> None:
    drawn.show(graph("a"), complete=True)
    drawn.show(graph("c"), complete=False)
    assert subjects(drawn) == ["a"]
    clock.now += 3 * PERIOD
    drawn.show(graph("c"), complete=False)
    assert subjects(drawn) == ["c"]


def test_only_the_predicates_asked_for_are_drawn(drawn: DrawnGraph) -> None:
    drawn.show(graph("a"), complete=True)
    assert [one.predicate for one in drawn.relations(("to the left of", "inside"))] == ["to the left of"]
