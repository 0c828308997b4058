"""Which pairs of regions are asked about, with which regions in one prompt, and what came of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gar_ros.region import Box

Pair = tuple[str, str]
"""Subject and object, region ids."""


@dataclass(frozen=True)
class Relation:
    """(predicate subject object) as a fact; probability 0..1 that it holds."""

    subject: str
    predicate: str
    object: str
    probability: float


@dataclass(frozen=True)
class SceneGraph:
    """Relations of at least `threshold` between regions of one image. asked, skipped: pairs times predicates."""

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
    """Regions that share one prompt, in prompt order, and the ordered pairs that are asked about with it."""

    region_ids: tuple[str, ...]
    pairs: list[Pair] = field(default_factory=list)


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
            gains = {other: _inside(left, {*chosen, other}) for other in _regions_of(left) if other not in chosen}
            best = max(gains, key=gains.__getitem__, default=None)
            if best is None or gains[best] == _inside(left, set(chosen)):
                break
            chosen.append(best)
        held = [pair for pair in left if set(pair) <= set(chosen)]
        groups.append(Group(tuple(chosen), held))
        for pair in held:
            del left[pair]
    return groups


def _inside(pairs: Mapping[Pair, None], chosen: set[str]) -> int:
    return sum(set(pair) <= chosen for pair in pairs)


def _regions_of(pairs: Mapping[Pair, None]) -> dict[str, None]:
    return dict.fromkeys(region_id for pair in pairs for region_id in pair)


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
