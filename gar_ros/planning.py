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
    """All regions, each after those that lie on or in it; otherwise in the given order.

    Of relations that contradict each other (A on B on A), the least probable of the circle is not believed. Relations
    of other regions are ignored.
    """
    before: dict[tuple[str, str], float] = {}  # (picked first, picked later)
    for one in relations:
        if one.predicate in holds_down and {one.subject, one.object} <= set(region_ids):
            pair = (one.subject, one.object)
            before[pair] = max(one.probability, before.get(pair, 0.0))
    while True:
        try:
            return _sorted(region_ids, before)
        except CycleError as error:
            circle = error.args[1]
            del before[min(pairwise(circle), key=before.__getitem__)]


def pddl_facts(region_ids: Sequence[str], relations: Iterable[Relation], kind: str = "region") -> str:
    """The graph as the `:objects` and `:init` parts of a PDDL problem, objects typed `kind`, one fact a line.

    Raises ValueError when two ids or predicates would get the same PDDL name.
    """
    facts = list(relations)
    objects = _names([*region_ids, *(end for one in facts for end in (one.subject, one.object))], f"{kind}_")
    predicates = _names([one.predicate for one in facts], "")
    lines = [f"({predicates[one.predicate]} {objects[one.subject]} {objects[one.object]})" for one in facts]
    return "\n".join(
        [f"(:objects {' '.join([*objects.values(), '-', kind])})", "(:init", *(f"  {line}" for line in lines), ")"]
    )


def _sorted(region_ids: Sequence[str], before: Collection[tuple[str, str]]) -> list[str]:
    """Topological order; of what may come next, the first in `region_ids`. Raises CycleError."""
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
    """PDDL names, which are letters, digits, - and _."""
    names = {text: prefix + re.sub(r"[^a-z0-9_-]+", "_", text.lower()).strip("_") for text in texts}
    if len(set(names.values())) < len(names):
        raise ValueError(f"expected texts that differ as PDDL names, got {sorted(names)}")
    return names
