# SPDX-License-Identifier: Apache-2.0
"""What is written at the arrows between regions: one arrow for each direction, one text for all that holds there."""

from __future__ import annotations

from collections.abc import Iterable

from gar_ros.memory.scene_graph import Pair, Relation

_SYMMETRIC = ("touching", "next to", "beside", "near", "close to")
"""Predicates that say the same in both directions."""


def relation_texts(relations: Iterable[Relation]) -> dict[Pair, list[str]]:
    """Lines such as "on top of 0.90" for each (subject, object).

    A symmetric predicate appears once for two regions, with the larger of its probabilities: at the arrow that another
    predicate has between them, otherwise from the region whose id sorts first.
    """
    directed: dict[Pair, list[str]] = {}
    symmetric: dict[tuple[Pair, str], float] = {}
    for one in relations:
        if one.predicate in _SYMMETRIC:
            key = (min(one.subject, one.object), max(one.subject, one.object)), one.predicate
            symmetric[key] = max(one.probability, symmetric.get(key, 0.0))
        else:
            directed.setdefault((one.subject, one.object), []).append(_line(one.predicate, one.probability))
    for (pair, predicate), probability in symmetric.items():
        direction = pair[::-1] if pair not in directed and pair[::-1] in directed else pair
        directed.setdefault(direction, []).append(_line(predicate, probability))
    return directed


def _line(predicate: str, probability: float) -> str:
    return f"{predicate} {probability:.2f}"
