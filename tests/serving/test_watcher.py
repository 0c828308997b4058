# SPDX-License-Identifier: Apache-2.0
"""When watches look, what they share, and what they find."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

from gar_ros.errors import ErrorCode
from gar_ros.memory.answers import AnswerRecord
from gar_ros.serving.fair_queue import Caller
from tests.serving.test_server import S
from tests.serving.watch_bench import INSIDE, OVER, PATIENCE, Bench


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


def test_settings_are_read_when_a_watch_begins(bench: Bench) -> None:
    bench.settings = replace(bench.settings, watch=replace(bench.settings.watch, least_probability=0.2))
    bench.watch("ball", "bowl")
    bench.show(25, "ball", "bowl")
    assert bench.end == (ErrorCode.OK, 0.2)


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
