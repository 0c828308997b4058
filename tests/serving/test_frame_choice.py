"""Questions about the past, through the server; the engine is a fake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gar_ros.errors import ErrorCode
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import DetectorIds, TrackMemory
from gar_ros.serving.requests import Query
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
