# SPDX-License-Identifier: Apache-2.0
"""What a planner makes of a scene graph: the order in which to pick things up, and PDDL facts. No ROS.

Relations are read by their attributes subject, predicate, object and probability: `gar_ros/msg/Relation` has them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Protocol

HOLDS_DOWN = ("on top of", "inside")
"""Predicates whose subject has to be picked before its object."""


class Relation(Protocol):
    """(predicate subject object) as a fact; subject and object are region ids."""

    @property
    def subject(self) -> str: ...
    @property
    def predicate(self) -> str: ...
    @property
    def object(self) -> str: ...
    @property
    def probability(self) -> float: ...


def pick_order(
    region_ids: Sequence[str], relations: Iterable[Relation], holds_down: Collection[str] = HOLDS_DOWN
) -> list[str]:
    """All region ids, each after those that lie on or in it; otherwise in the given order.

    holds_down: predicates whose subject is picked before its object. Where relations contradict each other (A on B on
    A), the least probable one of the cycle is dropped. Relations with other regions are ignored.
    """
    region_ids, holds_down = _texts("region_ids", region_ids), _texts("holds_down", holds_down)
    before: dict[tuple[str, str], float] = {}  # (picked first, picked later)
    for one in relations:
        if one.predicate in holds_down and {one.subject, one.object} <= set(region_ids):
            pair = (one.subject, one.object)
            before[pair] = max(one.probability, before.get(pair, 0.0))
    while True:
        try:
            return _sorted(region_ids, before)
        except CycleError as error:
            cycle = error.args[1]
            del before[min(pairwise(cycle), key=before.__getitem__)]


def pddl_facts(region_ids: Sequence[str], relations: Iterable[Relation], kind: str = "region") -> str:
    """The `:objects` and `:init` parts of a PDDL problem that state the graph, one fact a line. kind: their type.

    Raises ValueError when two ids or predicates would get the same PDDL name.
    """
    region_ids, facts = _texts("region_ids", region_ids), list(relations)
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", kind) is None:
        raise ValueError(f"kind: expected a PDDL name, got {kind!r}")
    objects = _names([*region_ids, *(end for one in facts for end in (one.subject, one.object))], f"{kind}_")
    predicates = _names([one.predicate for one in facts], "")
    lines = [f"({predicates[one.predicate]} {objects[one.subject]} {objects[one.object]})" for one in facts]
    return "\n".join(
        [f"(:objects {' '.join([*objects.values(), '-', kind])})", "(:init", *(f"  {line}" for line in lines), ")"]
    )


def _texts(name: str, value: Collection[str]) -> list[str]:
    """The texts. A str is no collection of texts: its letters would be. Raises TypeError."""
    texts = [] if isinstance(value, str | bytes) else list(value)
    if isinstance(value, str | bytes) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name}: expected a sequence of texts, got {value!r}")
    return texts


def _sorted(region_ids: Sequence[str], before: Collection[tuple[str, str]]) -> list[str]:
    """The ids in topological order; among those that may come next, the first in `region_ids`. Raises CycleError."""
    sorter = TopologicalSorter({region: [first for first, later in before if later == region] for region in region_ids})
    sorter.prepare()
    order: list[str] = []
    ready: set[str] = set()
    while sorter.is_active():
        ready |= set(sorter.get_ready())
        chosen = min(ready, key=region_ids.index)
        ready.remove(chosen)
        order.append(chosen)
        sorter.done(chosen)
    return order


def _names(texts: Iterable[str], prefix: str) -> dict[str, str]:
    """A PDDL name, made of letters, digits, - and _, for each text."""
    names = {text: prefix + re.sub(r"[^a-z0-9_-]+", "_", text.lower()).strip("_") for text in texts}
    if len(set(names.values())) < len(names):
        raise ValueError(f"expected texts that differ as PDDL names, got {sorted(names)}")
    return names
