"""From a request to its answer: limits, the image it speaks of, its regions, the model. No ROS."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import EncodedFrame, Told
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, askable
from gar_ros.geometry.extent import Extent
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.depth import Places
from gar_ros.memory.dialogues import NEW, DialogueMemory
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.region import Region, check_regions
from gar_ros.serving.frame_choice import Past
from gar_ros.serving.keyframer import Keyframer
from gar_ros.serving.requests import (
    LONGEST_AGO,
    LONGEST_TIMEOUT,
    MOST_TOKENS,
    Limits,
    Query,
    Request,
    check_number,
    check_question,
)
from gar_ros.serving.worker import Job, Worker
from gar_ros.settings import Settings

T = TypeVar("T")


class Server:
    """Answers requests from what is remembered; called from many threads, all but the model's own work.

    settings: the parameters as they are now. now_ns: the time in which images are stamped. why_no_input: what is
    wrong with the input topics, empty when nothing is. keyframer: where features are shared. tracks: where regions
    that are out of view are remembered.
    """

    def __init__(
        self,
        engine: GarEngine,
        frames: FrameMemory,
        places: Places,
        worker: Worker,
        settings: Callable[[], Settings],
        now_ns: Callable[[], int],
        why_no_input: Callable[[], str],
        keyframer: Keyframer | None = None,
        tracks: TrackMemory | None = None,
    ) -> None:
        self._engine = engine
        self._frames = frames
        self._places = places
        self._worker = worker
        self._settings = settings
        self._now_ns = now_ns
        self._why_no_input = why_no_input
        self._keyframer = keyframer
        self._dialogues = DialogueMemory(settings().dialogue.dialogues_kept, settings().dialogue.expire_after)
        self._past = Past(engine.prompts.max_regions, frames, tracks, settings, why_no_input)
        self._encoded = EncodedMemory(
            engine, settings().memory.encoded_kept, keyframer.keyframes if keyframer else None
        )

    def query(self, query: Query) -> AnswerRecord:
        """Waits for the answer. Raises GarError."""
        return self.begin(query).result()

    def begin(self, query: Query, told: Told | None = None) -> Job[AnswerRecord]:
        """Queues the question; the job's `result` waits for the answer, its `stop` gives up. Raises GarError.

        told: hears free text while it is written, in the worker's thread.
        """
        if query.dialogue not in ("", NEW):
            return self._go_on(query, told)
        arrival = time.monotonic_ns()
        limits = self.limits(query)
        check_question(self._engine.prompts, query, len(query.region_ids) + len(query.ad_hoc))
        frame, _, regions = self._regions(query, limits)  # what can't be answered is refused now, not after waiting
        if query.keyframes > 1:
            self._past.video(query.keyframes, frame, regions, len(query.ad_hoc))

        def work(raise_if_cancelled: CancelCheck) -> AnswerRecord:
            frame, age_ns, regions = self._regions(query, limits)  # the newest image is another one after waiting
            self._places.surface(frame)  # kept while the model thinks
            stamps: tuple[int, ...] = ()
            if query.keyframes > 1:
                video = self._past.video(query.keyframes, frame, regions, len(query.ad_hoc))
                stamps = tuple(shown.stamp_ns for shown, _ in video)
                encoded = self._engine.encode_video(
                    [(shown.image, region) for shown, region in video], raise_if_cancelled
                )
            else:
                encoded = self.encoded(frame, regions, limits, raise_if_cancelled)
            answer, turns = encoded.converse(
                query.question, None, query.choices, limits.max_tokens, raise_if_cancelled, told
            )
            ids = tuple(region.id for region in regions)
            latency_ns = time.monotonic_ns() - arrival
            extents = tuple(self._places.extent(frame, region) for region in regions)
            answered = AnswerRecord(
                answer=answer,
                question=query.question,
                region_ids=ids,
                choices=query.choices,
                stamp_ns=frame.stamp_ns,
                frame_id=frame.frame_id,
                age_ns=age_ns,
                latency_ns=latency_ns,
                extents=extents,
                stamps_ns=stamps,
            )
            return self._dialogues.begin(encoded, turns, answered, len(regions)) if query.dialogue else answered

        return self._worker.submit(work, limits.timeout)

    def _go_on(self, query: Query, told: Told | None) -> Job[AnswerRecord]:
        """Another turn of a conversation, on its image and regions."""
        arrival, limits = time.monotonic_ns(), self.limits(query)
        if query.region_ids or query.ad_hoc or query.stamp_ns or query.ago or query.keyframes:
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                "expected no regions, stamp, ago or keyframes in a dialogue that goes on: it has those of its start",
            )
        check_question(self._engine.prompts, query, self._dialogues.get(query.dialogue).prompts)

        def work(raise_if_cancelled: CancelCheck) -> AnswerRecord:
            dialogue = self._dialogues.get(query.dialogue)  # another turn may have come before
            before = dialogue.answered
            answer, turns = dialogue.encoded.converse(
                query.question, dialogue.turns, query.choices, limits.max_tokens, raise_if_cancelled, told
            )
            answered = replace(
                before,
                answer=answer,
                question=query.question,
                choices=query.choices,
                age_ns=self._now_ns() - before.stamp_ns,
                latency_ns=time.monotonic_ns() - arrival,
            )
            self._dialogues.go_on(query.dialogue, turns, answered)
            return answered

        return self._worker.submit(work, limits.timeout)

    def describe(self, request: Request, done: list[AnswerRecord]) -> None:
        """Appends one answer per region to `done`, in the order asked; no region_ids: all. Raises GarError.

        Those that were done before an error stay in `done`.
        """
        arrival = time.monotonic_ns()
        limits = self.limits(request)
        self.known(request, limits)

        def work(raise_if_cancelled: CancelCheck) -> None:
            frame, age_ns = self.known(request, limits)
            self._places.surface(frame)
            for region in _detected(frame, request.region_ids) if request.region_ids else askable(frame):
                encoded = self.encoded(frame, [region], limits, raise_if_cancelled)
                answer = encoded.describe(max_tokens=limits.max_tokens, raise_if_cancelled=raise_if_cancelled)
                latency_ns = time.monotonic_ns() - arrival
                extents = (self._places.extent(frame, region),)
                done.append(
                    AnswerRecord(
                        answer, "", (region.id,), (), frame.stamp_ns, frame.frame_id, age_ns, latency_ns, extents
                    )
                )

        self._worker.submit(work, limits.timeout).result()

    def listing(self, stamp_ns: int) -> tuple[Frame, int, list[tuple[Region, Extent]]]:
        """(frame, its age now in nanoseconds, its askable regions with their places). Raises GarError."""
        frame, age_ns = self._frame(Request(stamp_ns=stamp_ns), self._settings().request.max_age, with_regions=True)
        return frame, age_ns, [(region, self._places.extent(frame, region)) for region in askable(frame)]

    def encoded(
        self, frame: Frame, regions: Sequence[Region], limits: Limits, raise_if_cancelled: CancelCheck
    ) -> EncodedFrame:
        """The frame ready to be asked about these regions; for the worker's thread."""
        all_regions = askable(frame) if self._keyframer is not None else ()
        return self._encoded.get(frame, regions, limits.max_tiles, raise_if_cancelled, all_regions)

    def submit(self, work: Callable[[CancelCheck], T], timeout: float) -> Job[T]:
        """Queues work for the model, see Worker.submit."""
        return self._worker.submit(work, timeout)

    def limits(self, request: Request) -> Limits:
        """Raises GarError INVALID_REQUEST for a number out of range."""
        settings, most_tiles = self._settings(), self._engine.manifest.tiles.max_tiles
        check_number("timeout", request.timeout, LONGEST_TIMEOUT)
        check_number("max_age", request.max_age, math.inf)
        check_number("max_tokens", request.max_tokens, MOST_TOKENS)
        return Limits(
            max_tokens=request.max_tokens or settings.request.max_tokens,
            max_age=request.max_age or settings.request.max_age,
            timeout=request.timeout or settings.request.timeout,
            max_tiles=min(settings.request.max_tiles or most_tiles, most_tiles),
        )

    def _regions(self, query: Query, limits: Limits) -> tuple[Frame, int, list[Region]]:
        """(frame, its age in nanoseconds, the regions in prompt order)."""
        frame, age_ns = self.known(query, limits) if query.region_ids else self._frame(query, limits.max_age, False)
        regions = _detected(frame, query.region_ids) + [make(frame) for make in query.ad_hoc]
        check_regions(regions, frame.size, self._engine.prompts.max_regions)
        return frame, age_ns, regions

    def known(self, request: Request, limits: Limits) -> tuple[Frame, int]:
        """(frame, its age in nanoseconds), the frame has regions of the asked ids."""
        frame, age_ns = self._frame(request, limits.max_age, with_regions=True)
        known = _ids(frame)
        if not (request.stamp_ns or request.ago or set(request.region_ids) <= set(known)):
            frame, age_ns = self._out_of_view(request) or (frame, age_ns)
            known = _ids(frame)
        for region_id in request.region_ids:
            if region_id not in known:
                raise unknown_region(region_id, known)
        return frame, age_ns

    def _out_of_view(self, request: Request) -> tuple[Frame, int] | None:
        """The last image that showed all the asked regions, and its age; None when none is remembered."""
        frame = self._past.last_showing(request.region_ids)
        if frame is None:
            return None
        age_ns = self._now_ns() - frame.stamp_ns
        if request.max_age and age_ns > request.max_age * 1e9:
            showed = f"the last image that showed all of {', '.join(request.region_ids)}"
            message = f"{showed} is {age_ns / 1e9:.2f} s old, allowed are {request.max_age:g} s"
            raise GarError(ErrorCode.STALE_FRAME, message)
        self._frames.hold(frame)
        return frame, age_ns

    def _frame(self, request: Request, max_age: float, with_regions: bool) -> tuple[Frame, int]:
        """(frame, its age in nanoseconds). An image named by its stamp may be as old as the request allows."""
        what = "image with regions" if with_regions else "image"
        if request.ago:
            check_number("ago", request.ago, LONGEST_AGO)
            if request.stamp_ns:
                raise GarError(ErrorCode.INVALID_REQUEST, "expected a stamp or ago, got both")
            frame, max_age = self._past.then(request.ago), request.max_age or math.inf
        elif request.stamp_ns:
            found = self._frames.at(request.stamp_ns, with_regions)
            if found is None:
                kept = ", ".join(map(_seconds, self._frames.stamps(with_regions)[:10]))
                raise GarError(
                    ErrorCode.NO_FRAME,
                    f"no {what} of stamp {_seconds(request.stamp_ns)} is kept; newest first: {kept or 'none'}",
                )
            frame, max_age = found, request.max_age or math.inf
        else:
            found = self._frames.newest(with_regions)
            if found is None:
                raise GarError(ErrorCode.NO_FRAME, _because(f"no {what} has arrived yet", self._why_no_input()))
            frame = found
            if self._keyframer is not None:
                frame = self._keyframer.instead_of(frame, request.region_ids)
        age_ns = self._now_ns() - frame.stamp_ns
        if age_ns > max_age * 1e9:
            old = f"the newest {what} is {age_ns / 1e9:.2f} s old, allowed are {max_age:g} s"
            raise GarError(ErrorCode.STALE_FRAME, _because(old, self._why_no_input()))
        if age_ns < -max_age * 1e9:
            raise GarError(
                ErrorCode.STALE_FRAME,
                f"the {what} is stamped {-age_ns / 1e9:.2f} s in the future, allowed are {max_age:g} s: "
                "check use_sim_time and the clocks of camera and robot",
            )
        self._frames.hold(frame)
        return frame, age_ns


def unknown_region(region_id: str, known: Sequence[str]) -> GarError:
    """The error that names the ids there are, not too many of them."""
    listed = ", ".join(known[:20]) + (f", ... ({len(known)} in all)" if len(known) > 20 else "")
    return GarError(ErrorCode.UNKNOWN_REGION, f"no region '{region_id}' in the image; there are: {listed or 'none'}")


def _ids(frame: Frame) -> tuple[str, ...]:
    return frame.regions.ids() if frame.regions is not None else ()


def _detected(frame: Frame, ids: Sequence[str]) -> list[Region]:
    return [frame.regions.region(region_id) for region_id in ids] if frame.regions is not None else []


def _because(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09d}"
