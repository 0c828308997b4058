# SPDX-License-Identifier: Apache-2.0
"""How the simulator judges what the model said: rows with answer, truth and verdict."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from gar_ros.demo.table import MISSED, RIGHT, WRONG, Row
from gar_ros.planning import HOLDS_DOWN, Relation, pick_order
from gar_ros.region import with_ids
from gar_ros.sim.contact import NO, UNCLEAR, YES
from gar_ros.sim.questions import Question
from gar_ros.sim.truth import SceneTruth

RELATIONS = {"inside": "inside", "on top of": "on_top", "touching": "touching"}
"""Predicate of the scene graph -> relation of the simulator."""


class Fact(NamedTuple):
    """A relation between region ids, as `gar_ros.planning` reads it."""

    subject: str
    predicate: str
    object: str
    probability: float = 1.0


def object_index(region: str) -> int:
    """Index in the scene of the object with this region id.

    The id is the object's value in the camera's label image, so index + 1; "5#2" where track 5 was lost and came back.
    """
    return int(region.partition("#")[0]) - 1


def relation(truth: SceneTruth, fact: Relation) -> int:
    """Whether a fact is true: YES, NO or UNCLEAR."""
    return int(truth.relations[RELATIONS[fact.predicate]][object_index(fact.subject), object_index(fact.object)])


def true_facts(truth: SceneTruth, ids: Sequence[str], predicates: Collection[str]) -> list[Fact]:
    """All that the simulator is sure of."""
    facts = [Fact(one, name, other) for name in predicates for one, other in itertools.permutations(ids, 2)]
    return [fact for fact in facts if relation(truth, fact) == YES]


def answer_row(question: Question, ids: Sequence[str], text: str, probability: float, seconds: float) -> Row:
    """One answer. ids: ids[N] is <PromptN>. text: as the model gave it."""
    asked, answer, truth = (with_ids(part, ids) for part in (question.text, text, question.answer))
    return Row(RIGHT if answer == truth else WRONG, asked, answer, truth, probability, seconds)


def free_row(ids: Sequence[str], held: Iterable[Relation], probability: float | None, truth: SceneTruth) -> Row:
    """What has nothing on or in it. held: what was found on or in what. probability: of the least sure answer."""
    answer, true = (_free(ids, facts) for facts in (held, true_facts(truth, ids, HOLDS_DOWN)))
    verdict = RIGHT if answer == true else WRONG
    return Row(verdict, "So these can be picked at once", answer, true, probability)


def graph_rows(graph: Iterable[Relation], ids: Sequence[str], truth: SceneTruth, threshold: float) -> list[Row]:
    """The facts of a scene graph, the most probable first, then the simulator's facts that are not in it.

    threshold: least probability of the graph's facts. A fact that the simulator can't judge has no verdict.
    """
    listed = sorted(graph, key=lambda fact: -fact.probability)
    judged = {YES: (RIGHT, "true"), NO: (WRONG, "false"), UNCLEAR: ("", "unclear")}
    rows = []
    for fact in listed:
        verdict, true = judged[relation(truth, fact)]
        rows.append(Row(verdict, _told(fact), "true", true, fact.probability))
    found = {_told(fact) for fact in listed}
    missed = [_told(fact) for fact in true_facts(truth, ids, tuple(RELATIONS)) if _told(fact) not in found]
    return rows + [Row(MISSED, told, f"< {threshold:g}", "true") for told in missed]


def order_row(ids: Sequence[str], graph: Iterable[Relation], truth: SceneTruth) -> Row:
    """The order in which to pick everything up, right when nothing lies on or in what is picked next."""
    order, facts = pick_order(ids, graph), true_facts(truth, ids, HOLDS_DOWN)
    safe = all(order.index(fact.subject) < order.index(fact.object) for fact in facts)
    return Row(RIGHT if safe else WRONG, "Pick order", " ".join(order), " ".join(pick_order(ids, facts)))


def _told(fact: Relation) -> str:
    return f"{fact.subject} {fact.predicate} {fact.object}"


def _free(ids: Sequence[str], held: Iterable[Relation]) -> str:
    """The regions that nothing lies on or in."""
    below = {fact.object for fact in held}
    return " ".join(region for region in ids if region not in below) or "none"
