# SPDX-License-Identifier: Apache-2.0
"""What the demo looks for by words, each with the one region that they describe, or none."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gar_ros.demo.judge import object_index, true_facts
from gar_ros.demo.table import RIGHT, WRONG, Row
from gar_ros.planning import HOLDS_DOWN
from gar_ros.sim.truth import SceneTruth

NOTHING = "none"


class Search(NamedTuple):
    """words: for the node. region: id of the only region that they describe; NOTHING where they describe none."""

    words: str
    region: str


def draw_searches(truth: SceneTruth, ids: Sequence[str], rng: np.random.Generator, named: int = 2) -> list[Search]:
    """`named` searches by colour and shape, one by what a thing is in or on, and one for something that isn't there.

    ids: of the regions. Fewer where the scene has nothing that is unlike all others.
    """
    objects = truth.scene.objects
    counts = Counter((item.colour, item.shape) for item in objects)
    seen = [region for region in ids if truth.askable[object_index(region)]]
    alone = [region for region in seen if counts[_kind(truth, region)] == 1]
    chosen = sorted(rng.permutation(len(alone))[:named])
    found = [Search(_name(*_kind(truth, alone[index])), alone[index]) for index in chosen]
    for fact in true_facts(truth, seen, HOLDS_DOWN):
        if fact.subject in alone:
            words = f"{_name(*_kind(truth, fact.subject))} {fact.predicate} {_name(*_kind(truth, fact.object))}"
            found.append(Search(words, fact.subject))
            break
    colours, shapes = sorted({item.colour for item in objects}), sorted({item.shape for item in objects})
    absent = [kind for kind in itertools.product(colours, shapes) if kind not in counts]
    if absent:
        found.append(Search(_name(*absent[int(rng.integers(len(absent)))]), NOTHING))
    return found


def search_row(search: Search, found: Sequence[tuple[str, float]], seconds: float) -> Row:
    """One search. found: ids and probabilities of what the node found, the best first."""
    region, probability = found[0] if found else (NOTHING, None)
    verdict = RIGHT if region == search.region else WRONG
    return Row(verdict, f'Find "{search.words}"', region, search.region, probability, seconds)


def _kind(truth: SceneTruth, region: str) -> tuple[str, str]:
    item = truth.scene.objects[object_index(region)]
    return item.colour, item.shape


def _name(colour: str, shape: str) -> str:
    return f"the {colour} {shape}"
