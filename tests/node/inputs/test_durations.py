# SPDX-License-Identifier: Apache-2.0
"""Durations of callbacks, by a clock that the test turns."""

from __future__ import annotations

import math
from unittest.mock import patch

import pytest

from gar_ros.node.inputs.durations import WINDOW, Durations


def test_all_but_one_in_a_hundred_calls_are_as_fast_as_told() -> None:
    durations, now = Durations(), 0.0

    def work(seconds: float) -> None:
        nonlocal now
        now += seconds

    timed = durations.timed(work)
    assert math.isnan(durations.p99())
    with patch("time.monotonic", lambda: now):
        for _ in range(WINDOW):
            timed(1.0)
        assert durations.p99() == pytest.approx(1.0)
        for _ in range(WINDOW * 98 // 100):
            timed(0.25)
        assert durations.p99() == pytest.approx(1.0), "two in a hundred are still slow"
        for _ in range(WINDOW * 2 // 100):
            timed(0.25)
        assert durations.p99() == pytest.approx(0.25), "the slow ones are forgotten"


def test_a_call_that_fails_is_measured_and_fails_all_the_same() -> None:
    durations = Durations()

    def fail(_: object) -> None:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        durations.timed(fail)(None)
    assert durations.p99() >= 0.0
