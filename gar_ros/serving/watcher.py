# SPDX-License-Identifier: Apache-2.0
"""Looks at the newest images for all watches of a camera, while no request needs the model. No ROS."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from operator import attrgetter

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import Answer
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt import Question
from gar_ros.errors import LEAVING, ErrorCode, GarError, GpuLostError, reason_of
from gar_ros.frame import Frame
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.passing_frames import PassingFrames
from gar_ros.memory.tracks import TrackMemory, TrackState
from gar_ros.serving.frame_choice import FrameChoice, check_different
from gar_ros.serving.requests import check_texts, limits_of
from gar_ros.serving.watch import End, Look, Moment, Search, Terms, Watch, WatchRequest, choices_of
from gar_ros.serving.worker import Job, Worker, watching
from gar_ros.settings import Settings

CHECKS_PER_SECOND = 20.0
"""How often `look_if_due` is called, whatever the rate of camera and watches."""
JOB_SECONDS = 60.0
"""How long looks that are due may wait for requests before they are queued anew."""

_Asked = tuple[tuple[str, ...], Question]


class Watcher:
    """All watches of one camera. Thread-safe; the model's work is done in the worker's thread.

    Watches of the same regions share what is encoded, and those that are alike one answer for each image. The one that
    was looked at least recently comes first, then all others of its regions. Between two questions whatever waits for
    the model gets its turn. A region that is out of view only makes its watches wait, until its track is lost.
    """

    def __init__(
        self,
        engine: GarEngine,
        choice: FrameChoice,
        tracks: TrackMemory,
        passing: PassingFrames,
        depth: DepthMemory,
        worker: Worker,
        settings: Callable[[], Settings],
        search_for: Callable[[str], Search],
        camera: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """settings: returns the current parameters. search_for: makes the search for some words, raises GarError for
        those that can't be looked for. camera: whose images are looked at. clock: monotonic seconds."""
        self._engine, self._choice, self._tracks, self._passing = engine, choice, tracks, passing
        self._depth, self._worker, self._settings, self._clock = depth, worker, settings, clock
        self._caller, self._search_for = watching(camera), search_for
        self._lock = threading.Lock()
        self._watches: list[Watch] = []
        self._accepting = False
        self._job: Job[None, None] | None = None
        self._answers: dict[_Asked, Moment] = {}
        self._answered = 0  # number of the image that the answers are about

    def __len__(self) -> int:
        """Number of watches."""
        return len(self._watches)

    def accept(self) -> None:
        """Takes watches from now on."""
        self._accepting = True

    def pause(self, error: GarError) -> None:
        """Takes no more watches and ends all with `error`."""
        with self._lock:
            self._accepting = False
            watches = list(self._watches)
        for watch in watches:
            self.stop(watch, error)

    def begin(self, request: WatchRequest, on_look: Callable[[Look], object], on_end: Callable[[End], object]) -> Watch:
        """A watch from now on. on_look: called after each look, in the model's thread. on_end: called once, in any
        thread, with the answer that was waited for or why there is none.

        Raises GarError at once for what can't be watched, for one watch too many, and as `FrameChoice.newest` does.
        """
        settings, now = self._settings(), self._clock()
        limits_of(request, settings, self._engine.manifest.tiles.max_tiles)
        check_texts(request)
        check_different(request.region_ids)
        count = len(request.region_ids) + len(request.words)
        question = self._engine.parse(request.question, choices_of(request), count)
        searches = tuple(map(self._search_for, request.words))
        watch = Watch(request, question, Terms.of(request, settings), searches, now, on_look, on_end)
        self._choice.newest()
        if lost := self._why_lost(request.region_ids, self._states()):
            raise GarError(ErrorCode.UNKNOWN_REGION, lost)
        with self._lock:
            if not self._accepting:
                raise GarError(ErrorCode.NOT_ACTIVE, "the node is not active: activate it")
            if len(self._watches) >= settings.watch.most:
                most = settings.watch.most
                raise GarError(
                    ErrorCode.QUEUE_FULL, f"{most} of {most} watches go on; end one first or raise watch.most"
                )
            self._watches.append(watch)
        return watch

    def stop(self, watch: Watch, end: End) -> None:
        """Ends the watch unless it has ended."""
        with self._lock:
            if watch not in self._watches:
                return
            self._watches.remove(watch)
        watch.on_end(end)

    def look_if_due(self) -> None:
        """Ends watches whose time is over or whose regions are lost, and queues the looks that are due. Returns at
        once."""
        now, states = self._clock(), self._states() if self._watches else {}
        for watch in list(self._watches):
            if now >= watch.deadline:
                self.stop(watch, watch.timed_out(self._why_blind()))
            elif lost := self._why_lost(watch.region_ids, states):
                if watch.searches:
                    watch.begin_again()
                else:
                    self.stop(watch, GarError(ErrorCode.UNKNOWN_REGION, lost))
        # What was encoded is forgotten there too, once nothing is due.
        if (self._job is None or self._job.finished) and (self._due() is not None or self._passing.holds):
            try:
                self._job = self._worker.submit(self._look, JOB_SECONDS, self._caller)
            except GarError:  # deactivated meanwhile
                return

    def give_turn(self) -> None:
        """Takes one look that is due. For long background work in the model's thread, between its steps."""
        if self._watches:
            self._step(self._raise_if_paused)

    def _look(self, raise_if_cancelled: CancelCheck) -> None:
        """Takes the looks that are due until something else waits for the model."""
        while self._step(raise_if_cancelled) and not self._worker.has_waiting:
            pass

    def _step(self, raise_if_cancelled: CancelCheck) -> bool:
        """Asks one question for all watches that are alike; False when nothing is due."""
        due = self._due()
        if due is None:
            self._passing.forget()
            return False
        frame, watch = due
        try:
            if watch.searches and not watch.region_ids:
                if watch.search(frame, raise_if_cancelled):
                    self._found(watch, frame)
                return True
            self._answer(watch, frame, raise_if_cancelled)
        except GpuLostError:
            raise
        except GarError as error:
            raise_if_cancelled()
            self._end_alike(watch, error)
        except LEAVING:
            raise
        except BaseException as error:
            self._end_alike(watch, GarError(ErrorCode.INTERNAL_ERROR, f"{reason_of(error)}; see the node's log"))
            raise
        return True

    def _due(self) -> tuple[Frame, Watch] | None:
        """The newest image and the watch that is to look at it next, None when there is none."""
        if not self._watches:
            return None
        try:
            frame = self._choice.newest()
        except GarError:  # none, or an old one: there will be another or the deadline
            return None
        shown, now = frozenset(frame.regions.ids() if frame.regions else ()), self._clock()
        due = [watch for watch in list(self._watches) if watch.is_due(frame, shown, now)]
        encoded = [watch for watch in due if self._passing.has(frame, watch.region_ids)]
        first = min(encoded or due, key=attrgetter("last_look"), default=None)
        return None if first is None else (frame, first)

    def _found(self, watch: Watch, frame: Frame) -> None:
        """A search is over: without success this image is done."""
        if not watch.region_ids:
            watch.passed(frame, self._clock())

    def _answer(self, watch: Watch, frame: Frame, raise_if_cancelled: CancelCheck) -> None:
        """Has the watch, and those alike that are due, look at the image."""
        moment = self._moment(watch, frame, raise_if_cancelled)
        shown, now = watch.region_ids, self._clock()
        for one in list(self._watches):
            if one.asked == watch.asked and one.is_due(frame, shown, now):
                one.passed(frame, now)
                if moment is not None:
                    self._take(one, moment, raise_if_cancelled)

    def _moment(self, watch: Watch, frame: Frame, raise_if_cancelled: CancelCheck) -> Moment | None:
        """The answer about the image, which is asked for once; None where a region of it can't be asked about."""
        if self._answered != frame.number:
            self._answers, self._answered = {}, frame.number
        known = self._answers.get(watch.asked)
        if known is not None:
            return known
        age_ns = self._choice.age_ns(frame.stamp_ns)
        try:
            regions = tuple(frame.regions.region(one) for one in watch.region_ids) if frame.regions else ()
        except GarError:  # such as one without a pixel: as if it were out of view
            return None
        limits = limits_of(watch.request, self._settings(), self._engine.manifest.tiles.max_tiles)
        encoded = self._passing.get(frame, regions, limits.max_tiles, raise_if_cancelled)
        answer: Answer = encoded.ask(watch.question, raise_if_cancelled=raise_if_cancelled)
        self._answers[watch.asked] = moment = Moment(answer, frame, regions, age_ns)
        return moment

    def _take(self, watch: Watch, moment: Moment, raise_if_cancelled: CancelCheck) -> None:
        look, true = watch.take(moment)
        if watch.since is moment:  # what a planner may ask about later is kept
            self._choice.hold(moment.frame)
            self._depth.surface(moment.frame)
        watch.on_look(look)
        if true is not None:
            self.stop(watch, self._record(watch, true, raise_if_cancelled))

    def _record(self, watch: Watch, moment: Moment, raise_if_cancelled: CancelCheck) -> AnswerRecord:
        return AnswerRecord(
            answer=moment.answer,
            question=watch.question.text,
            region_ids=tuple(region.id for region in moment.regions),
            choices=watch.question.choices,
            stamp_ns=moment.frame.stamp_ns,
            frame_id=moment.frame.frame_id,
            age_ns=moment.age_ns,
            latency_ns=round((self._clock() - watch.began) * 1e9),
            extents=self._depth.extents(moment.frame, moment.regions, raise_if_cancelled=raise_if_cancelled),
        )

    def _end_alike(self, watch: Watch, error: GarError) -> None:
        """Ends all that would ask what failed."""
        for one in list(self._watches):
            if one is watch or (one.region_ids and one.asked == watch.asked):
                self.stop(one, error)

    def _states(self) -> dict[str, TrackState]:
        """Those of all regions that are remembered."""
        return {track.id: state for track, state in self._tracks.tracks()}

    def _why_blind(self) -> str:
        """Why there is nothing to look at; empty when there is."""
        try:
            self._choice.newest()
        except GarError as error:
            return error.message
        return ""

    def _why_lost(self, region_ids: tuple[str, ...], states: dict[str, TrackState]) -> str:
        """Why a region will not be seen again; empty when all may be."""
        for region_id in region_ids:
            if region_id not in states:
                known = ", ".join(list(states)[:20]) or "none"
                return f"no region '{region_id}' is in view or remembered; there are: {known}"
            if states[region_id] is TrackState.LOST:
                unseen = self._settings().tracking.lost_after
                return (
                    f"region '{region_id}' is lost: it was not seen for more than tracking.lost_after ({unseen:g} s), "
                    "and what comes back has another id"
                )
        return ""

    def _raise_if_paused(self) -> None:
        if not self._accepting:
            raise GarError(ErrorCode.CANCELLED, "the node was deactivated or shut down")
