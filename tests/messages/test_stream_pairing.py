# SPDX-License-Identifier: Apache-2.0
"""Clocks that jump and stamps that are wrong: whatever came before, right stamps pair again at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gar_ros.messages.stream_pairing import Input, StreamPairing

MS = 1_000_000
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
START = 1_000_000 * SECOND
PERIOD = SECOND // 10
FOUND = [Input.REGIONS, Input.INSTANCES]


class Run:
    """A pairing and the wall clock: every message comes 1 ms after the one before."""

    def __init__(self, queue_size: int = 30, slop_ns: int | None = None) -> None:
        self.pairing = StreamPairing(queue_size, slop_ns)
        self.now = 0
        self.made: list[tuple[int, int]] = []
        self.restarts = 0

    def add(self, kind: Input, stamp: int, passed: int = MS) -> list[tuple[int, int]]:
        """The pairs that a message makes; messages are their stamps."""
        self.now += passed
        step = self.pairing.add(kind, stamp, stamp, self.now)
        self.restarts += step.restarted
        pairs = [(image, found) for _, image, found in step.pairs]
        self.made += pairs
        return pairs

    def good(self, first: int, count: int, kind: Input = Input.REGIONS, lag: int = 0) -> list[tuple[int, int]]:
        """Images every 100 ms with their regions, which come `lag` images later; the pairs that they make."""
        stamps = [first + number * PERIOD for number in range(count)]
        pairs = []
        for number in range(count + lag):
            if number < count:
                pairs += self.add(Input.IMAGE, stamps[number], PERIOD)
            if number >= lag:
                pairs += self.add(kind, stamps[number - lag])
        return pairs


def same(first: int, count: int) -> list[tuple[int, int]]:
    return [(first + number * PERIOD,) * 2 for number in range(count)]


@pytest.mark.parametrize("kind", FOUND)
@pytest.mark.parametrize("off", [HOUR, -HOUR, 3 * SECOND, -3 * SECOND, SECOND // 2])
def test_detections_of_another_time_leave_no_trace_once_the_detector_is_right(kind: Input, off: int) -> None:
    run = Run()
    assert run.good(START, 10, kind) == same(START, 10)
    for number in range(40):  # more than the queue holds
        run.add(Input.IMAGE, START + (10 + number) * PERIOD, PERIOD)
        run.add(kind, START + (10 + number) * PERIOD + off)
    again = START + 50 * PERIOD
    assert sorted(run.good(again, 50, kind)) == same(again, 50)
    assert run.restarts == 0, "the images were right all the time"


@pytest.mark.parametrize("off", [HOUR, -HOUR, 20 * SECOND, -20 * SECOND])
def test_when_the_images_clock_jumps_everything_starts_over_once_and_no_pair_is_lost(off: int) -> None:
    run = Run()
    run.good(START, 40)
    assert sorted(run.good(START + off, 40)) == same(START + off, 40)
    assert run.restarts == 1


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_a_loop_of_a_bag_loses_no_pair_though_the_detector_lags(lag: int) -> None:
    run = Run()
    for _ in range(3):
        assert sorted(run.good(START, 40, lag=lag)) == same(START, 40)
    assert run.restarts == 2


@pytest.mark.parametrize("kind", Input)
@pytest.mark.parametrize("off", [HOUR, -HOUR, 5 * SECOND, -5 * SECOND])
def test_one_wrong_stamp_costs_its_own_message_alone(kind: Input, off: int) -> None:
    run = Run()
    run.good(START, 10)
    run.add(kind, START + 10 * PERIOD + off)
    assert run.good(START + 11 * PERIOD, 40) == same(START + 11 * PERIOD, 40)
    assert run.restarts == 0


def test_wrong_stamps_among_right_ones_never_count() -> None:
    """As of two cameras on one topic, of which one has another clock."""
    run = Run()
    for number in range(100):
        stamp = START + number * PERIOD
        run.add(Input.IMAGE, stamp + HOUR)
        run.add(Input.IMAGE, stamp)
        run.add(Input.REGIONS, stamp)
    assert run.made[-90:] == same(START + 10 * PERIOD, 90)
    assert run.restarts <= 2


def test_a_pause_is_no_jump() -> None:
    run = Run()
    run.good(START, 10)
    run.now += 100 * SECOND
    assert run.good(START + 101 * SECOND, 10) == same(START + 101 * SECOND, 10)
    assert run.restarts == 0


def test_messages_that_waited_for_a_busy_process_are_no_jump() -> None:
    """What lay in DDS comes first, the present messages after it."""
    run = Run()
    run.good(START, 10)
    run.now += 8 * SECOND
    assert run.good(START + SECOND, 1) == same(START + SECOND, 1)
    assert run.good(START + 9 * SECOND, 10) == same(START + 9 * SECOND, 10)
    assert run.restarts == 0


def test_a_slow_camera_in_a_bag_that_is_played_fast_starts_over_no_more_than_once() -> None:
    run = Run()
    for number in range(20):
        for kind in (Input.IMAGE, Input.REGIONS):
            run.add(kind, START + number * 60 * SECOND)
    assert len(run.made) >= 17 and run.restarts == 1


def test_a_clock_that_stands_still_pairs_on() -> None:
    run = Run()
    for _ in range(20):
        run.add(Input.IMAGE, START, SECOND)
        assert run.add(Input.REGIONS, START) == [(START, START)]


def test_an_image_never_meets_regions_of_the_time_before() -> None:
    """A simulator repeats its stamps exactly: regions that were never paired must not meet the new image."""
    run = Run()
    for number in range(5):
        run.add(Input.REGIONS, START + number * PERIOD)
    run.good(START + 20 * SECOND, 5)
    pairs = [run.add(Input.IMAGE, START + number * PERIOD) for number in range(5)]
    assert pairs == [[]] * 5


def test_a_message_with_an_odd_stamp_says_so() -> None:
    run = Run()
    run.good(START, 3)
    step = run.pairing.add(Input.REGIONS, START + HOUR, 0, run.now)
    assert step.odd.startswith("header.stamp is 60 min ahead of the stamps before it; unless the next stamp")
    assert (step.jump_ns, run.pairing.add(Input.REGIONS, START + HOUR, 1, run.now).jump_ns) == (0, HOUR - 2 * PERIOD)


STAMPS = st.one_of(
    st.integers(-50, 50).map(lambda tenths: START + tenths * PERIOD),
    st.sampled_from([START + HOUR, START - HOUR, START + 9 * SECOND, 1]),
    st.integers(1, 2**31 * SECOND),
)
WALKS = st.lists(st.integers(-9 * SECOND, 9 * SECOND), max_size=40).map(
    lambda steps: [START + sum(steps[: count + 1]) for count in range(len(steps))]
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    before=st.lists(st.tuples(st.sampled_from(list(Input)), STAMPS), max_size=80),
    walk=WALKS,
    kind=st.sampled_from(FOUND),
    queue_size=st.integers(2, 30),
    slop_ns=st.sampled_from([None, 20 * MS]),
    burst=st.integers(1, 40),
)
def test_whatever_came_before_two_seconds_of_right_stamps_are_enough(
    before: list[tuple[Input, int]], walk: list[int], kind: Input, queue_size: int, slop_ns: int | None, burst: int
) -> None:
    run = Run(queue_size, slop_ns)
    for other, stamp in before:
        for number in range(burst if stamp % 2 else 1):
            run.add(other, stamp + number * MS)
    for stamp in walk:
        run.add(kind, stamp)
        run.add(Input.IMAGE, stamp + 7)
    run.good(START, 20, kind)
    assert sorted({*run.good(START + 20 * PERIOD, 20, kind)}) == same(START + 20 * PERIOD, 20)
