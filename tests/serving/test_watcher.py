# SPDX-License-Identifier: Apache-2.0
"""When watches look, what they share, and how each ends. The engine is a fake that reads its answer off the image."""

from __future__ import annotations

import math
import threading
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import Answer
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt import Question
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.passing_frames import PassingFrames
from gar_ros.memory.tracks import TrackMemory
from gar_ros.region import Region
from gar_ros.serving.fair_queue import Caller
from gar_ros.serving.frame_choice import FrameChoice
from gar_ros.serving.phrase import check_words
from gar_ros.serving.watch import End, Look, Search, Watch, WatchRequest
from gar_ros.serving.watcher import Watcher
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings
from tests.serving.test_server import Detected, S, shipped_prompts

INSIDE = "Is <Prompt0> inside <Prompt1>?"
PATIENCE = 60.0  # seconds; no test waits that long
OVER = GarError(ErrorCode.CANCELLED, "the test is over")


class Reading:
    """As GarEngine: the probability of the first choice is the image's grey level in percent."""

    parse = GarEngine.parse
    manifest = SimpleNamespace(tiles=SimpleNamespace(max_tiles=16))

    def __init__(self) -> None:
        self.prompts = shipped_prompts()
        self.encoded: list[str] = []
        self.asked: list[str] = []
        self.error: BaseException | None = None
        self.at_ask = lambda: None

    def encode(
        self, image: NDArray[np.uint8], regions: Sequence[Region], max_tiles: int, raise_if_cancelled: CancelCheck
    ) -> SimpleNamespace:
        level, ids = int(image[0, 0, 0]), " ".join(region.id for region in regions)
        self.encoded.append(f"{level}: {ids}")

        def ask(question: Question, raise_if_cancelled: CancelCheck) -> Answer:
            self.at_ask()
            raise_if_cancelled()
            if self.error is not None:
                raise self.error
            self.asked.append(f"{level}: {ids}")
            rest = (1 - level / 100) / (len(question.choices) - 1)
            probabilities = (level / 100, *[rest] * (len(question.choices) - 1))
            return Answer(question.choices[0], (), 0, probabilities)

        return SimpleNamespace(ask=ask, nbytes=0)


class Bench:
    """A watcher with its parts within reach, on a clock that stands still."""

    def __init__(self) -> None:
        self.engine, self.frames = Reading(), FrameMemory(8)
        self.tracks = TrackMemory(DetectorIds(2 * S), 1, 2 * S, 100, 4)
        self.defects: list[BaseException] = []
        self.worker = Worker(4, self.defects.append)
        self.worker.accept()
        self.settings = Settings.of({"watch.most": 3, "watch.least_probability": 0.7, "watch.rate": 10.0})
        self.now = 0.0
        self.looks: list[Look] = []
        self.ends: list[End] = []
        engine = cast(GarEngine, self.engine)
        choice = FrameChoice(self.frames, self.tracks, lambda: self.settings, lambda: round((100 + self.now) * S))
        self.encoded = EncodedMemory(engine, 2)
        self.passing = PassingFrames(engine, self.encoded)
        depth = DepthMemory(8, slop_ns=0)
        self.watcher = Watcher(
            engine, choice, self.tracks, self.passing, depth, self.worker, lambda: self.settings, search_for,
            clock=lambda: self.now,
        )  # fmt: skip
        self.watcher.accept()

    def show(self, percent: int, *ids: str, after: float = 0.1) -> None:
        """The next image, `after` seconds later, and all looks at it."""
        self.add(percent, *ids, after=after)
        self.look()

    def add(self, percent: int, *ids: str, after: float = 0.1) -> None:
        """The next image alone."""
        self.now += after
        image = np.full((4, 4, 3), percent, np.uint8)
        frame = Frame(round((100 + self.now) * S), "camera", (4, 4), lambda: image, Detected(*ids))
        self.frames.add(self.tracks.follow(frame))

    def look(self) -> None:
        """What the timer does, until its work is done."""
        self.watcher.look_if_due()
        if self.watcher._job is not None:
            with suppress(GarError):
                self.watcher._job.result()

    def watch(self, *ids: str, **fields: Any) -> Watch:
        request = WatchRequest(region_ids=ids, **{"question": INSIDE, **fields})
        return self.watcher.begin(request, self.looks.append, self.ends.append)

    def refusal(self, *ids: str, **fields: Any) -> ErrorCode:
        with pytest.raises(GarError) as caught:
            self.watch(*ids, **fields)
        return caught.value.code

    @property
    def end(self) -> tuple[ErrorCode, float]:
        """The code of the only end, and the second of the answer's image."""
        (end,) = self.ends
        if isinstance(end, GarError):
            return end.code, math.nan
        return ErrorCode.OK, round(end.stamp_ns / S - 100, 3)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.show(0, "ball", "bowl")
    yield bench
    bench.worker.close(OVER)


def test_it_is_told_of_the_first_image_in_which_it_holds(bench: Bench) -> None:
    bench.watch("ball", "bowl")
    for percent in (10, 69, 71, 90):
        bench.show(percent, "ball", "bowl")
    assert bench.end == (ErrorCode.OK, 0.4)
    (end,) = bench.ends
    assert isinstance(end, AnswerRecord)
    assert end.region_ids == ("ball", "bowl")
    assert end.choices == ("yes", "no")
    assert [(look.holds, look.looks) for look in bench.looks] == [(False, 1), (False, 2), (True, 3)]
    assert len(bench.watcher) == 0


def test_another_choice_can_be_waited_for(bench: Bench) -> None:
    bench.watch("ball", "bowl", expected="no", least_probability=0.5)
    bench.show(60, "ball", "bowl")
    bench.show(40, "ball", "bowl")
    assert bench.end == (ErrorCode.OK, 0.3)


def test_what_must_hold_for_some_time_begins_again_when_it_stops(bench: Bench) -> None:
    bench.watch("ball", "bowl", hold=0.2)
    for percent in (80, 80, 0, 80, 80, 80, 80):
        bench.show(percent, "ball", "bowl")
    assert bench.end == (ErrorCode.OK, 0.5)
    assert [round(look.since_ns / S - 100, 3) for look in bench.looks if look.holds] == [0.2, 0.2, 0.5, 0.5, 0.5]


def test_images_without_the_regions_say_nothing(bench: Bench) -> None:
    bench.watch("ball", "bowl", hold=0.2)
    bench.show(80, "ball", "bowl")
    bench.show(0, "bowl")
    bench.show(80, "ball", "bowl")
    assert bench.end == (ErrorCode.OK, 0.2)


def test_a_region_out_of_view_for_a_moment_does_not_end_the_watch_and_a_lost_one_does(bench: Bench) -> None:
    bench.watch("ball", "bowl")
    bench.show(0, "bowl", after=1.9)
    assert not bench.ends
    bench.show(0, "bowl", after=0.2)
    assert bench.end[0] is ErrorCode.UNKNOWN_REGION
    assert "lost" in str(bench.ends[0])


def test_the_deadline_ends_it_and_says_what_was_seen(bench: Bench) -> None:
    bench.watch("ball", "bowl", timeout=1.0)
    bench.show(30, "ball", "bowl", after=0.9)
    assert not bench.ends
    bench.now += 0.1
    bench.look()
    assert bench.end[0] is ErrorCode.TIMED_OUT
    assert "but the only look gave it 0.30" in str(bench.ends[0])


def test_the_deadline_tells_of_a_camera_that_stopped(bench: Bench) -> None:
    bench.watch("ball", "bowl", timeout=5.0)
    bench.show(30, "ball", "bowl")
    bench.now += 5.0
    bench.look()
    assert bench.end[0] is ErrorCode.TIMED_OUT
    assert "at the end the newest image with regions is 5.00 s old" in str(bench.ends[0])


def test_it_looks_no_more_often_than_its_rate(bench: Bench) -> None:
    bench.now = 1.0
    bench.watch("ball", "bowl", rate=4.0)
    for _ in range(8):
        bench.show(10, "ball", "bowl", after=0.125)
    assert [look.stamp_ns / S - 100 for look in bench.looks] == [1.125, 1.25, 1.5, 1.75, 2.0]


def test_watches_that_are_alike_are_asked_once_for_each_image(bench: Bench) -> None:
    for _ in range(2):
        bench.watch("ball", "bowl")
    bench.show(10, "ball", "bowl")
    bench.show(80, "ball", "bowl")
    assert bench.engine.asked == ["10: ball bowl", "80: ball bowl"]
    assert len(bench.looks) == 4
    assert len(bench.ends) == 2


def test_questions_about_the_same_regions_share_what_is_encoded(bench: Bench) -> None:
    bench.watch("ball", "bowl")
    bench.watch("bowl", "ball")
    bench.watch("ball", "bowl", question="Is <Prompt0> touching <Prompt1>?")
    bench.show(10, "ball", "bowl")
    assert bench.engine.encoded == ["10: ball bowl", "10: bowl ball"]
    assert bench.engine.asked == ["10: ball bowl", "10: ball bowl", "10: bowl ball"]


def test_the_least_recently_looked_comes_first_on_the_newest_image(bench: Bench) -> None:
    """The model has time for one question an image."""
    bench.watch("ball", "bowl")
    bench.watch("bowl", "ball")
    occupied: list[Any] = []

    def occupy() -> None:
        occupied.append(bench.worker.submit(lambda check: None, PATIENCE, Caller("services", 0)))

    bench.engine.at_ask = occupy
    for percent in (10, 20, 30, 40):
        bench.add(percent, "ball", "bowl")
        bench.look()
    assert bench.engine.asked == ["10: ball bowl", "20: bowl ball", "30: ball bowl", "40: bowl ball"]


def test_requests_come_between_two_questions_of_a_look(bench: Bench) -> None:
    order: list[str] = []
    bench.watch("ball", "bowl")
    bench.watch("bowl", "ball")
    requested = threading.Event()

    def ask() -> None:
        order.append("watch")
        if not requested.is_set():
            requested.set()
            bench.worker.submit(lambda check: order.append("request"), PATIENCE, Caller("services", 0))

    bench.engine.at_ask = ask
    bench.show(10, "ball", "bowl")
    bench.look()
    assert order == ["watch", "request", "watch"]
    assert bench.engine.encoded == ["10: ball bowl", "10: bowl ball"]


def test_nothing_stays_encoded_when_nothing_is_due(bench: Bench) -> None:
    watch = bench.watch("ball", "bowl")

    def ask() -> None:
        assert bench.passing.holds
        bench.watcher.stop(watch, OVER)
        bench.worker.submit(lambda check: None, PATIENCE, Caller("services", 0))  # makes the look end at once

    bench.engine.at_ask = ask
    bench.show(10, "ball", "bowl")
    bench.look()
    assert not bench.passing.holds


def test_looks_leave_the_cache_of_planners_alone(bench: Bench) -> None:
    frame = bench.frames.newest(with_regions=True)
    assert frame is not None and frame.regions is not None
    regions = [frame.regions.region("bowl")]
    kept = bench.encoded.get(frame, regions, 16, lambda: None)
    for question in range(3):
        bench.watch("ball", "bowl", question=f"{INSIDE} {question}")
    for _ in range(5):
        bench.show(10, "ball", "bowl")
    assert bench.encoded.kept(frame, regions, 16) is kept


def test_what_planners_have_had_encoded_is_not_encoded_again(bench: Bench) -> None:
    frame = bench.frames.newest(with_regions=True)
    assert frame is not None and frame.regions is not None
    bench.encoded.get(frame, [frame.regions.region(name) for name in ("ball", "bowl")], 16, lambda: None)
    bench.watch("ball", "bowl")
    bench.look()
    assert bench.engine.encoded == ["0: ball bowl"] == bench.engine.asked


def test_other_background_work_gives_it_turns(bench: Bench) -> None:
    """Such as a published scene graph."""
    bench.watch("ball", "bowl")
    bench.now += 0.1
    bench.worker.submit(lambda check: bench.watcher.give_turn(), PATIENCE).result()
    assert len(bench.looks) == 1


@pytest.mark.parametrize(
    ("ids", "fields", "code"),
    [
        (("ball", "cup"), {}, ErrorCode.UNKNOWN_REGION),
        (("ball", "ball"), {}, ErrorCode.INVALID_REQUEST),
        (("ball",), {}, ErrorCode.PROMPT_WITHOUT_REGION),
        ((), {}, ErrorCode.PROMPT_WITHOUT_REGION),
        (("ball", "bowl"), {"question": " "}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"question": "x" * 5000}, ErrorCode.QUESTION_TOO_LONG),
        (("ball", "bowl"), {"expected": "maybe"}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"choices": ("a", "b"), "expected": "yes"}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"choices": ("a", "a")}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"choices": tuple(map(str, range(65)))}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"least_probability": 1.5}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"least_probability": math.nan}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"hold": -1.0}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"hold": 9.0, "timeout": 9.0}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"rate": math.inf}, ErrorCode.INVALID_REQUEST),
        (("ball", "bowl"), {"timeout": 1e9}, ErrorCode.INVALID_REQUEST),
        (tuple(map(str, range(9))), {"question": "Is <Prompt0> red?"}, ErrorCode.TOO_MANY_REGIONS),
        (("ball",), {"words": ("",)}, ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_cannot_be_watched_is_refused_at_once(
    bench: Bench, ids: tuple[str, ...], fields: dict[str, Any], code: ErrorCode
) -> None:
    assert bench.refusal(*ids, **fields) is code
    assert len(bench.watcher) == 0


def test_one_watch_too_many_is_refused(bench: Bench) -> None:
    first, *_ = [bench.watch("ball", "bowl") for _ in range(3)]
    assert bench.refusal("ball", "bowl") is ErrorCode.QUEUE_FULL
    bench.watcher.stop(first, OVER)
    bench.watch("ball", "bowl")


def test_without_images_or_with_an_old_one_there_is_nothing_to_watch(bench: Bench) -> None:
    bench.now += 10.0
    assert bench.refusal("ball", "bowl") is ErrorCode.STALE_FRAME
    bench.frames.clear()
    assert bench.refusal("ball", "bowl") is ErrorCode.NO_FRAME


def test_a_watch_that_is_stopped_ends_once(bench: Bench) -> None:
    watch = bench.watch("ball", "bowl")
    bench.watcher.stop(watch, OVER)
    bench.watcher.stop(watch, OVER)
    bench.show(80, "ball", "bowl")
    assert bench.ends == [OVER]
    assert not bench.looks


def test_the_node_s_end_ends_all_and_takes_no_more(bench: Bench) -> None:
    bench.watch("ball", "bowl")
    bench.watch("bowl", "ball")
    bench.watcher.pause(OVER)
    assert bench.ends == [OVER, OVER]
    assert bench.refusal("ball", "bowl") is ErrorCode.NOT_ACTIVE


@pytest.mark.parametrize(
    ("error", "code", "defects"),
    [
        (GarError(ErrorCode.QUESTION_TOO_LONG, "no room"), ErrorCode.QUESTION_TOO_LONG, 0),
        (ValueError("a defect"), ErrorCode.INTERNAL_ERROR, 1),
    ],
)
def test_a_question_that_fails_ends_its_watches_and_no_others(
    bench: Bench, error: BaseException, code: ErrorCode, defects: int
) -> None:
    bench.watch("ball", "bowl")
    bench.engine.error = error
    bench.show(0, "ball", "bowl")
    assert bench.end[0] is code
    assert len(bench.defects) == defects
    bench.engine.error = None
    bench.watch("bowl", "ball")
    bench.show(80, "ball", "bowl")
    assert len(bench.ends) == 2


def search_for(words: str) -> Search:
    """Finds the region whose id the words end with; asks as many questions as the image has regions."""
    check_words(words)

    def search(
        frame: Frame, taken: Collection[str], raise_if_cancelled: CancelCheck
    ) -> Generator[None, None, str | None]:
        assert frame.regions is not None
        for region_id in frame.regions.ids():
            yield
            if words.endswith(region_id.partition("#")[0]) and region_id not in taken:
                return region_id
        return None

    return search


def test_regions_found_by_words_follow_those_named_by_id() -> None:
    bench = Bench()
    bench.show(90, "ball", "bowl")
    bench.watch("bowl", words=("the red cup",), question="Is <Prompt1> inside <Prompt0>?")
    bench.show(90, "ball", "bowl")
    assert not bench.looks, "there is no cup yet"
    bench.show(90, "ball", "bowl", "cup")
    bench.worker.close(OVER)
    assert [look.region_ids for look in bench.looks] == [("bowl", "cup")]
    assert bench.end == (ErrorCode.OK, 0.3)


def test_what_was_found_by_words_and_lost_is_looked_for_again() -> None:
    bench = Bench()
    bench.show(0, "ball", "bowl")
    bench.watch(words=("the ball", "the bowl"))
    bench.show(0, "ball", "bowl")
    bench.show(0, "bowl", after=2.1)
    bench.show(90, "ball", "bowl")
    bench.worker.close(OVER)
    assert [look.region_ids for look in bench.looks] == [("ball", "bowl"), ("ball#2", "bowl#2")]
    assert bench.end[0] is ErrorCode.OK


def test_words_that_fit_nothing_are_told_at_the_deadline() -> None:
    bench = Bench()
    bench.show(90, "ball", "bowl")
    bench.watch("bowl", words=("the red cup",), timeout=1.0)
    bench.show(90, "ball", "bowl")
    bench.now += 1.0
    bench.look()
    bench.worker.close(OVER)
    assert bench.end[0] is ErrorCode.TIMED_OUT
    assert "nothing was found for the words ['the red cup']" in str(bench.ends[0])


def test_settings_are_read_when_a_watch_begins(bench: Bench) -> None:
    bench.settings = replace(bench.settings, watch=replace(bench.settings.watch, least_probability=0.2))
    bench.watch("ball", "bowl")
    bench.show(25, "ball", "bowl")
    assert bench.end == (ErrorCode.OK, 0.2)
