# SPDX-License-Identifier: Apache-2.0
"""Makes scene graphs: asks about pairs of regions with every predicate, within limits. No ROS."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt_spelling import REFERENCE
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.scene_graph import Group, Relation, SceneGraph, nearest_pairs, question_text, shared_prompts
from gar_ros.serving.frame_choice import FrameChoice, check_different
from gar_ros.serving.requests import MAX_CHARACTERS, MAX_CHOICES, YES_NO, Request, check_number, limits_of
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings

MAX_PAIRS = 10_000
GRACE = 30.0
"""Seconds that a graph may take beyond its timeout, to wait for the request before it and finish the last question."""


@dataclass(frozen=True)
class GraphRequest(Request):
    """A request for the relations between regions. 0 and empty stand for the node's default.

    predicates: such as "on top of". threshold: least probability of a relation that is returned, 0..1. max_pairs:
    number of ordered pairs of regions that are asked about.
    """

    predicates: tuple[str, ...] = ()
    threshold: float = 0.0
    max_pairs: int = 0


class Grapher:
    """Makes scene graphs of remembered images. Thread-safe; the model's work is done in the worker's thread."""

    def __init__(
        self,
        engine: GarEngine,
        choice: FrameChoice,
        encoded: EncodedMemory,
        worker: Worker,
        settings: Callable[[], Settings],
    ) -> None:
        """settings: returns the current parameters."""
        self._engine, self._choice, self._encoded = engine, choice, encoded
        self._worker, self._settings = worker, settings

    def graph(self, request: GraphRequest, should_stop: Callable[[], bool] = lambda: False) -> SceneGraph:
        """The scene graph of an image; waits for it. Questions that the timeout leaves no time for count as skipped.

        should_stop: called between questions; True ends the work with the relations scored until then. Raises GarError
        as `FrameChoice.choose`, `limits_of` and `Worker.submit` do.
        """
        arrival, settings = time.monotonic(), self._settings()
        limits = limits_of(request, settings, self._engine.manifest.tiles.max_tiles)
        check_number("threshold", request.threshold, 1.0)
        check_number("max_pairs", request.max_pairs, MAX_PAIRS)
        check_different(request.region_ids)
        predicates = self._checked(request.predicates or settings.graph.predicates)
        threshold = request.threshold or settings.graph.threshold
        requested = self._choice.choose(request)

        def over() -> bool:
            return time.monotonic() > arrival + limits.timeout or should_stop()

        def work(raise_if_cancelled: CancelCheck) -> SceneGraph:
            chosen = self._choice.renew(requested)
            regions = {region.id: region for region in chosen.regions}
            boxes = {region_id: region.box for region_id, region in regions.items()}
            pairs = nearest_pairs(boxes, request.max_pairs or settings.graph.max_pairs)
            scored: list[Relation] = []
            for group in shared_prompts(pairs, self._engine.prompts.max_regions):
                if over():
                    break
                members = [regions[region_id] for region_id in group.region_ids]
                encoded = self._encoded.get(chosen.frame, members, limits.max_tiles, raise_if_cancelled)
                scored += self._score(group, predicates, encoded, raise_if_cancelled, over)
            likely = [relation for relation in scored if relation.probability >= threshold]
            return SceneGraph(
                stamp_ns=chosen.frame.stamp_ns,
                frame_id=chosen.frame.frame_id,
                region_ids=tuple(regions),
                predicates=predicates,
                threshold=threshold,
                relations=tuple(sorted(likely, key=attrgetter("subject", "predicate", "object"))),
                asked=len(scored),
                skipped=len(regions) * (len(regions) - 1) * len(predicates) - len(scored),
                latency_ns=round((time.monotonic() - arrival) * 1e9),
            )

        return self._worker.submit(work, limits.timeout + GRACE, request.caller).result()

    def _score(
        self,
        group: Group,
        predicates: Sequence[str],
        encoded: EncodedFrame,
        raise_if_cancelled: CancelCheck,
        over: Callable[[], bool],
    ) -> Iterator[Relation]:
        """Yields a group's relations until it is `over`, one question at a time: batches are slower on a CPU."""
        for (subject, object_), predicate, text in group.questions(predicates):
            if over():
                return
            question = self._engine.parse(text, YES_NO, len(group.region_ids))
            answer = encoded.ask(question, raise_if_cancelled=raise_if_cancelled)
            yield Relation(subject, predicate, object_, answer.probabilities[0])

    def _checked(self, predicates: Sequence[str]) -> tuple[str, ...]:
        """The predicates without surrounding space. A <PromptN> in one could be any region of the image."""
        stripped = tuple(text.strip() for text in predicates)
        if not all(stripped) or len(set(stripped)) < len(stripped) or len(stripped) > MAX_CHOICES:
            got = list(predicates)[:MAX_CHOICES]
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"expected at most {MAX_CHOICES} different predicates, none empty, got {got}",
            )
        if sum(map(len, stripped)) > MAX_CHARACTERS:
            raise GarError(
                ErrorCode.QUESTION_TOO_LONG,
                f"expected predicates of at most {MAX_CHARACTERS} characters together, got {sum(map(len, stripped))}",
            )
        for predicate in stripped:
            if REFERENCE.search(predicate):
                raise GarError(
                    ErrorCode.INVALID_REQUEST, f"expected predicates that name no region, got '{predicate[:60]}'"
                )
            self._engine.parse(question_text("<Prompt0>", predicate, "<Prompt1>"), YES_NO, 2)
        return stripped
