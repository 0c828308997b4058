# SPDX-License-Identifier: Apache-2.0
"""The scene graph as values: its relations, the pairs of regions asked about, and the prompts that pairs share."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gar_ros.region import Box

Pair = tuple[str, str]
"""Region ids of subject and object."""


@dataclass(frozen=True)
class Relation:
    """The fact (predicate subject object). subject, object: region ids. probability: that it holds, 0..1."""

    subject: str
    predicate: str
    object: str
    probability: float


@dataclass(frozen=True)
class SceneGraph:
    """Relations between the regions of one image.

    stamp_ns: the image's stamp, nanoseconds. frame_id: the camera's optical frame. region_ids: all regions that were
    considered. threshold: least probability of the relations, 0..1. asked: number of questions, one for each ordered
    pair and predicate, that the model answered. skipped: number of questions left out for lack of time or by the limit
    of pairs. latency_ns: time from the request's arrival to the graph, nanoseconds.
    """

    stamp_ns: int
    frame_id: str
    region_ids: tuple[str, ...]
    predicates: tuple[str, ...]
    threshold: float
    relations: tuple[Relation, ...]
    asked: int
    skipped: int
    latency_ns: int


@dataclass(frozen=True)
class Group:
    """Regions that share one prompt. region_ids: in prompt order. pairs: the ordered pairs that it is used for."""

    region_ids: tuple[str, ...]
    pairs: list[Pair] = field(default_factory=list)

    def questions(self, predicates: Sequence[str]) -> Iterator[tuple[Pair, str, str]]:
        """Pair, predicate and text of each question; its answer is yes or no."""
        prompts = {region_id: f"<Prompt{number}>" for number, region_id in enumerate(self.region_ids)}
        for (subject, object_), predicate in itertools.product(self.pairs, predicates):
            yield (subject, object_), predicate, question_text(prompts[subject], predicate, prompts[object_])


def question_text(subject: str, predicate: str, object_: str) -> str:
    """Whether a relation holds between two prompts."""
    return f"Is {subject} {predicate} {object_}?"


def nearest_pairs(boxes: Mapping[str, Box], limit: int) -> list[Pair]:
    """Ordered pairs of regions, at most `limit`: every two regions in both orders, nearest box centres first."""
    unordered = itertools.combinations(boxes, 2)
    near = sorted(unordered, key=lambda pair: math.dist(_centre(boxes[pair[0]]), _centre(boxes[pair[1]])))
    return [ordered for pair in near for ordered in (pair, pair[::-1])][:limit]


def shared_prompts(pairs: Sequence[Pair], max_regions: int) -> list[Group]:
    """Few groups of at most `max_regions` regions (2 or more), so that each pair is in exactly one group.

    Greedy: a group begins with the first pair that is left and takes the region that completes most of the others.
    """
    left = dict.fromkeys(pairs)
    groups = []
    while left:
        chosen = list(next(iter(left)))
        while len(chosen) < max_regions:
            candidates = [region_id for region_id in _regions_of(left) if region_id not in chosen]
            complete = {region_id: _count_within(left, {*chosen, region_id}) for region_id in candidates}
            best = max(complete, key=complete.__getitem__, default=None)
            if best is None or complete[best] == _count_within(left, set(chosen)):
                break
            chosen.append(best)
        within = [pair for pair in left if set(pair) <= set(chosen)]
        groups.append(Group(tuple(chosen), within))
        for pair in within:
            del left[pair]
    return groups


def _count_within(pairs: Mapping[Pair, None], chosen: set[str]) -> int:
    return sum(set(pair) <= chosen for pair in pairs)


def _regions_of(pairs: Mapping[Pair, None]) -> dict[str, None]:
    return dict.fromkeys(region_id for pair in pairs for region_id in pair)


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
