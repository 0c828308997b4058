# SPDX-License-Identifier: Apache-2.0
"""Finds regions by words: scores every candidate, or every pair where the words name two objects. No ROS."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from operator import attrgetter

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import askable
from gar_ros.geometry.extent import Extent
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.findings import Findings, FoundRegion
from gar_ros.serving.frame_choice import Chosen, FrameChoice, check_different
from gar_ros.serving.phrase import Phrase, Score, count_pairs
from gar_ros.serving.requests import SENDING_SECONDS, Request, check_number, limits_of
from gar_ros.serving.worker import Job, Worker
from gar_ros.settings import Settings

MAX_RESULTS = 10_000


@dataclass(frozen=True)
class FindRequest(Request):
    """A request for the regions that fit some words; region_ids are the candidates. 0 stands for the node's default.

    remembered: whether regions that the newest image doesn't show are candidates too, each on the last kept image that
    shows it. least_probability: of what is returned, 0..1. max_results: number of regions that are returned at most.
    """

    words: str = ""
    remembered: bool = False
    least_probability: float = 0.0
    max_results: int = 0


@dataclass(frozen=True, eq=False)
class _Plan:
    """What will be asked. images: with their candidates. pairs: whether about pairs. total: number of questions."""

    images: tuple[Chosen, ...]
    pairs: bool
    total: int


class Finder:
    """Finds regions in remembered images. Thread-safe; the model's work is done in the worker's thread."""

    def __init__(
        self,
        engine: GarEngine,
        choice: FrameChoice,
        encoded: EncodedMemory,
        depth: DepthMemory,
        worker: Worker,
        settings: Callable[[], Settings],
    ) -> None:
        """settings: returns the current parameters."""
        self._engine, self._choice, self._encoded = engine, choice, encoded
        self._depth, self._worker, self._settings = depth, worker, settings

    def find(self, request: FindRequest) -> Findings:
        """The regions that fit the words; waits for them. When the time is over, those among the scored candidates.

        Raises GarError TIMED_OUT when no candidate was scored in time, and as `Phrase.parse`, `limits_of`,
        `FrameChoice.choose`, `FrameChoice.choose_remembered` and `Worker.stream` do.
        """
        arrival_ns, settings = time.monotonic_ns(), self._settings()
        limits = limits_of(request, settings, self._engine.manifest.tiles.max_tiles)
        check_number("least_probability", request.least_probability, 1.0)
        check_number("max_results", request.max_results, MAX_RESULTS)
        check_different(request.region_ids)
        phrase = Phrase.parse(self._engine, request.words)
        requested = self._images(request)  # before queueing, so that impossible requests fail at once

        def work(raise_if_cancelled: CancelCheck) -> Generator[_Plan | Score, None, None]:
            images = self._images(request, requested)
            yield from self._score(phrase, images, limits.max_tiles, raise_if_cancelled)

        plan, scores = _collected(self._worker.stream(work, limits.timeout, request.caller), _Plan(requested, False, 0))
        least = request.least_probability or settings.find.threshold
        most = request.max_results or settings.find.max_results
        found = self._found(plan, scores, least, most, arrival_ns / 1e9 + limits.timeout - SENDING_SECONDS)
        return Findings(
            stamp_ns=plan.images[0].frame.stamp_ns,
            frame_id=plan.images[0].frame.frame_id,
            regions=found,
            pairs=plan.pairs,
            asked=len(scores),
            skipped=plan.total - len(scores),
            latency_ns=time.monotonic_ns() - arrival_ns,
        )

    def _images(self, request: FindRequest, before: Sequence[Chosen] = ()) -> tuple[Chosen, ...]:
        """The images with their candidates. before: what was chosen when the request came."""
        if request.remembered:
            return self._choice.choose_remembered(request)
        return (self._choice.renew(before[0]) if before else self._choice.choose(request),)

    def _score(
        self, phrase: Phrase, images: tuple[Chosen, ...], max_tiles: int, raise_if_cancelled: CancelCheck
    ) -> Generator[_Plan | Score, None, None]:
        """Yields the plan, then the scores, one image after another."""
        plan: _Plan | None = None
        for image in filter(attrgetter("regions"), images):
            self._depth.surface(image.frame)  # counts as used from now on, so it is still there for the found ones
            regions = askable(image.frame)
            encode = self._encoded.all_prompted(image.frame, regions, max_tiles, raise_if_cancelled)
            if plan is None:
                plan = _planned(images, phrase.names_two(encode(image.regions[:1]), raise_if_cancelled))
                yield plan
            if plan.pairs:
                ids = {region.id for region in image.regions}
                yield from phrase.score_pairs(encode, ids, regions, raise_if_cancelled)
            else:
                yield from phrase.score_alone(encode, image.regions, raise_if_cancelled)
        if plan is None:
            yield _Plan(images, False, 0)

    def _found(
        self, plan: _Plan, scores: Sequence[Score], least: float, most: int, latest: float
    ) -> tuple[FoundRegion, ...]:
        """The most probable regions with their places in space. latest: monotonic seconds up to which these may wait
        for depth."""
        best = _best(scores, least, most)
        places: dict[str, tuple[Chosen, Extent]] = {}
        for image in plan.images:
            regions = [region for region in image.regions if region.id in best]
            extents = self._depth.extents(image.frame, regions, latest) if regions else ()
            places |= {region.id: (image, extent) for region, extent in zip(regions, extents, strict=True)}
        return tuple(_found_region(score, *places[region_id]) for region_id, score in best.items())


def _found_region(score: Score, image: Chosen, extent: Extent) -> FoundRegion:
    return FoundRegion(
        stamp_ns=image.frame.stamp_ns,
        frame_id=image.frame.frame_id,
        region_id=score.region_id,
        probability=score.probability,
        other_id=score.other_id,
        out_of_view=image.why == "out of view",
        extent=extent,
    )


def _planned(images: tuple[Chosen, ...], pairs: bool) -> _Plan:
    if pairs:
        return _Plan(images, True, sum(count_pairs(image.regions, askable(image.frame)) for image in images))
    return _Plan(images, False, sum(len(image.regions) for image in images))


def _collected(job: Job[_Plan | Score, None], plan: _Plan) -> tuple[_Plan, list[Score]]:
    """What the job plans, and the scores that it has by its end or by its timeout. plan: if it has none.

    Raises what stopped it, a timeout only where it leaves no score.
    """
    scores: list[Score] = []
    for item in job.items():
        if isinstance(item, Score):
            scores.append(item)
        else:
            plan = item
    try:
        job.result()
    except GarError as error:
        if error.code is not ErrorCode.TIMED_OUT or not scores:
            raise
    return plan, scores


def _best(scores: Sequence[Score], least: float, most: int) -> dict[str, Score]:
    """The best score of each region by its id, the most probable first: `most` of those that are at least `least`."""
    best: dict[str, Score] = {}
    for score in sorted(scores, key=lambda score: -score.probability):
        if score.probability >= least and len(best) < most:
            best.setdefault(score.region_id, score)
    return best
