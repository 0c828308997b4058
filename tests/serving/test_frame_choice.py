# SPDX-License-Identifier: Apache-2.0
"""Questions about the past, through the server; the engine is a fake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gar_ros.errors import ErrorCode
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.serving.frame_choice import FrameChoice, StandIn
from gar_ros.serving.requests import Query, Request
from tests.serving.test_server import NOW, Bench, FakeEncoded, FakeEngine, S, frame, refusal


class VideoEngine(FakeEngine):
    """Answers a video by the numbers of its images."""

    def encode_video(self, frames: Any, raise_if_cancelled: Any) -> FakeEncoded:
        return FakeEncoded(int("".join(str(image[0, 0, 0]) for image, _ in frames)), tuple(r.id for _, r in frames))


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.engine = VideoEngine()
    bench.frames = FrameMemory(2, past=5, past_ns=S)
    tracks = bench.tracks = TrackMemory(DetectorIds(2 * S), confirm_after=1, lost_ns=2 * S, capacity=9, images=3)
    bench.serve()
    shown = [(5.0, "ab"), (4.0, "ab"), (3.0, "b"), (2.0, "b"), (1.0, "b"), (0.5, "b")]
    for number, (age, names) in enumerate(shown, 1):
        bench.frames.add(tracks.follow(frame(number, *names, age=age)))
    yield bench
    bench.worker.close(None)  # type: ignore[arg-type]


def test_a_question_names_a_time(bench: Bench) -> None:
    assert bench.ask("a", ago=4.0) == "1 a", "the kept image nearest to 4.5 s"
    assert bench.ask("b", ago=1.6) == "4 b"


def test_a_time_that_nothing_is_kept_of_is_refused_with_what_is_kept(bench: Bench) -> None:
    code, message = refusal(lambda: bench.ask("b", ago=20.0))
    assert code is ErrorCode.NO_FRAME
    assert "20 s before the newest" in message and "4.50" in message
    assert refusal(lambda: bench.ask("b", ago=1.0, stamp_ns=NOW))[0] is ErrorCode.INVALID_REQUEST
    assert refusal(lambda: bench.ask("b", ago=-1.0))[0] is ErrorCode.INVALID_REQUEST
    assert refusal(lambda: bench.ask("a", ago=1.0))[0] is ErrorCode.UNKNOWN_REGION


def test_what_is_out_of_view_is_asked_about_in_its_last_image(bench: Bench) -> None:
    answered = bench.server.query(Query(region_ids=("a", "b"), question="?"))
    assert answered.answer.text == "2 a b"
    assert answered.stamp_ns == NOW - 4 * S
    assert refusal(lambda: bench.ask("a", max_age=1.0)) == (
        ErrorCode.STALE_FRAME,
        "the last image that showed all of a is 4.00 s old, but max_age is 1 s",
    )
    assert refusal(lambda: bench.ask("x"))[0] is ErrorCode.UNKNOWN_REGION


def test_keyframes_are_a_video_of_one_region(bench: Bench) -> None:
    answered = bench.server.query(Query(region_ids=("b",), question="?", keyframes=3))
    assert answered.answer.text.startswith("456 ")
    assert answered.stamps_ns == (NOW - 2 * S, NOW - S, NOW - S // 2)
    assert answered.stamp_ns == NOW - S // 2
    early = bench.server.query(Query(region_ids=("a",), question="?", keyframes=5, ago=3.5))
    assert early.answer.text.startswith("12 "), "no more are kept"
    assert refusal(lambda: bench.ask("a", "b", keyframes=2))[0] is ErrorCode.INVALID_REQUEST
    assert refusal(lambda: bench.ask("b", keyframes=6))[0] is ErrorCode.INVALID_REQUEST


def choice_of(bench: Bench, stand_in: StandIn | None = None) -> FrameChoice:
    """The room alone, at a moment that `bench.now_ns` tells."""
    return FrameChoice(bench.frames, bench.tracks, lambda: bench.settings, lambda: bench.now_ns, stand_in)


@pytest.mark.parametrize(
    ("request_", "number", "why"),
    [
        (Request(region_ids=("b",)), 6, "newest"),
        (Request(region_ids=("b",), stamp_ns=NOW - S), 5, "stamp"),
        (Request(region_ids=("a",), ago=4.0), 1, "ago"),
        (Request(region_ids=("a",)), 2, "out of view"),
        (Request(), 6, "newest"),
    ],
)
def test_what_is_chosen_says_why(bench: Bench, request_: Request, number: int, why: str) -> None:
    chosen = choice_of(bench).choose(request_)
    assert (chosen.frame.image[0, 0, 0], chosen.why) == (number, why)
    assert chosen.age_ns == NOW - chosen.frame.stamp_ns
    assert [region.id for region in chosen.regions] == list(request_.region_ids or "b")


def test_a_keyframe_serves_instead_of_the_newest_image(bench: Bench) -> None:
    keyframe = bench.frames.at(NOW - S, with_regions=True)
    assert keyframe is not None
    chosen = choice_of(bench, lambda newest, ids: keyframe).choose(Request(region_ids=("b",)))
    assert (chosen.frame, chosen.why) == (keyframe, "keyframe")


def test_after_waiting_the_newest_image_is_another_and_a_named_one_is_the_same_but_older(bench: Bench) -> None:
    choice = choice_of(bench)
    newest, named, past = (
        choice.choose(request)
        for request in (Request(("b",)), Request(("b",), stamp_ns=NOW - S), Request(("b",), ago=0.5))
    )
    bench.frames.add(frame(7, "b", age=-1.0))
    bench.now_ns = NOW + 2 * S
    assert choice.renew(newest).frame.image[0, 0, 0] == 7
    for chosen in (named, past):
        renewed = choice.renew(chosen)
        assert (renewed.frame, renewed.age_ns) == (chosen.frame, chosen.age_ns + 2 * S)


def test_the_age_that_is_told_is_the_one_that_was_checked(bench: Bench) -> None:
    """Time goes on while regions are built."""
    times = iter([NOW, NOW + 9 * S])
    choice = FrameChoice(bench.frames, bench.tracks, lambda: bench.settings, lambda: next(times))
    assert choice.choose(Request(("b",), max_age=1.0)).age_ns == S // 2


def test_a_named_image_that_grew_too_old_while_it_waited_is_refused(bench: Bench) -> None:
    choice = choice_of(bench)
    chosen = choice.choose(Request(stamp_ns=NOW - S // 2, max_age=1.0))
    bench.now_ns = NOW + S
    code, message = refusal(lambda: choice.renew(chosen))
    assert (code, message) == (ErrorCode.STALE_FRAME, "the image is 1.50 s old, but max_age is 1 s")
