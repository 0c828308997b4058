"""The scene graph: every pair of regions is asked about with every predicate, within bounds. No ROS."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import askable
from gar_ros.memory.scene_graph import Group, Relation, SceneGraph, nearest_pairs, shared_prompts
from gar_ros.region import Region
from gar_ros.serving.requests import LONGEST_TEXT, MOST_CHOICES, Request, check_number
from gar_ros.serving.server import Server
from gar_ros.settings import Settings

YES_NO = ("yes", "no")
MOST_PAIRS = 10_000
GRACE = 30.0
"""Seconds beyond the timeout that the request may wait for the one before it; nothing is scored in them."""


@dataclass(frozen=True)
class GraphRequest(Request):
    """Between which regions (region_ids empty: all) and which predicates; 0 and empty: the node's default.

    threshold: least probability of a relation that is returned. max_pairs: ordered pairs of regions.
    """

    predicates: tuple[str, ...] = ()
    threshold: float = 0.0
    max_pairs: int = 0


@dataclass
class _Score:
    """What was found until now."""

    relations: list[Relation]
    asked: int = 0


class Grapher:
    """Makes scene graphs with the model of `server`. settings: the parameters as they are now."""

    def __init__(self, server: Server, most_regions: int, settings: Callable[[], Settings]) -> None:
        """most_regions: that one prompt takes."""
        self._server, self._most, self._settings = server, most_regions, settings

    def graph(self, request: GraphRequest, give_way: Callable[[], bool] = lambda: False) -> SceneGraph:
        """Waits for the graph; what could not be scored within the timeout is counted as skipped. Raises GarError.

        give_way: asked between questions; True ends the work with what was scored until then.
        """
        arrival = time.monotonic()
        limits, settings = self._server.limits(request), self._settings()
        check_number("threshold", request.threshold, 1.0)
        check_number("max_pairs", request.max_pairs, MOST_PAIRS)
        predicates = _checked(request.predicates) or settings.graph.predicates
        threshold = request.threshold or settings.graph.threshold
        self._server.known(request, limits)  # what can't be answered is refused now and not after waiting

        def over() -> bool:
            return time.monotonic() > arrival + limits.timeout or give_way()

        def work(raise_if_cancelled: CancelCheck) -> SceneGraph:
            frame, _ = self._server.known(request, limits)
            regions = {region.id: region for region in askable(frame)}
            names = _chosen(request.region_ids, regions)
            boxes = {name: regions[name].box for name in names}
            pairs = nearest_pairs(boxes, request.max_pairs or settings.graph.max_pairs)
            score = _Score([])
            for group in shared_prompts(pairs, self._most):
                if over():
                    break
                encoded = self._server.encoded(
                    frame, [regions[name] for name in group.region_ids], limits, raise_if_cancelled
                )
                _score(group, predicates, partial(_probability, encoded, raise_if_cancelled), over, score)
            possible = len(names) * (len(names) - 1) * len(predicates)
            found = [one for one in score.relations if one.probability >= threshold]
            return SceneGraph(
                stamp_ns=frame.stamp_ns,
                frame_id=frame.frame_id,
                region_ids=tuple(names),
                predicates=predicates,
                threshold=threshold,
                relations=tuple(sorted(found, key=lambda one: (one.subject, one.predicate, one.object))),
                asked=score.asked,
                skipped=possible - score.asked,
                latency_ns=round((time.monotonic() - arrival) * 1e9),
            )

        return self._server.submit(work, limits.timeout + GRACE).result()


def _probability(encoded: EncodedFrame, raise_if_cancelled: CancelCheck, question: str) -> float:
    return encoded.ask(question, YES_NO, raise_if_cancelled=raise_if_cancelled).probabilities[0]


def _score(
    group: Group,
    predicates: Sequence[str],
    probability: Callable[[str], float],
    over: Callable[[], bool],
    score: _Score,
) -> None:
    """Asks one question after another on the group's prefix until it is `over`: on a CPU, batches are slower
    (../shared/FACTS.md, 4)."""
    prompts = {name: f"<Prompt{number}>" for number, name in enumerate(group.region_ids)}
    for subject, other in group.pairs:
        for predicate in predicates:
            if over():
                return
            held = probability(f"Is {prompts[subject]} {predicate} {prompts[other]}?")
            score.relations.append(Relation(subject, predicate, other, held))
            score.asked += 1


def _chosen(asked: Sequence[str], regions: dict[str, Region]) -> list[str]:
    """The regions of the graph, in order. Raises GarError INVALID_REQUEST for a repeated one, EMPTY_MASK."""
    if len(set(asked)) < len(asked):
        raise GarError(ErrorCode.INVALID_REQUEST, f"region ids must differ, got {list(asked)}")
    empty = [name for name in asked if name not in regions]
    if empty:
        raise GarError(ErrorCode.EMPTY_MASK, f"expected regions with a pixel, got '{empty[0]}' without")
    return list(asked) or list(regions)


def _checked(predicates: Sequence[str]) -> tuple[str, ...]:
    stripped = tuple(text.strip() for text in predicates)
    if not all(stripped) or len(set(stripped)) < len(stripped) or len(stripped) > MOST_CHOICES:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected at most {MOST_CHOICES} different predicates, none empty, got {list(predicates)[:MOST_CHOICES]}",
        )
    if sum(map(len, stripped)) > LONGEST_TEXT:
        raise GarError(ErrorCode.QUESTION_TOO_LONG, f"expected at most {LONGEST_TEXT} characters of predicates")
    return stripped
