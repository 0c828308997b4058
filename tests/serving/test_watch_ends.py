# SPDX-License-Identifier: Apache-2.0
"""What can't be watched, and how each watch ends."""

from __future__ import annotations

import math
from typing import Any

import pytest

from gar_ros.errors import ErrorCode, GarError
from tests.serving.watch_bench import OVER, Bench


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
