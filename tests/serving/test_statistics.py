# SPDX-License-Identifier: Apache-2.0
"""Counts of requests and latencies."""

from __future__ import annotations

import math

import pytest

from gar_ros.errors import ErrorCode
from gar_ros.serving.statistics import WINDOW, RequestStatistics


def test_outcomes_are_counted_and_only_answers_have_latencies() -> None:
    tally = RequestStatistics()
    assert all(math.isnan(value) for value in tally.latency())
    for seconds in range(1, 101):
        tally.add(ErrorCode.OK, seconds)
    tally.add(ErrorCode.QUEUE_FULL, 1000.0)
    assert tally.outcomes() == {ErrorCode.OK: 100, ErrorCode.QUEUE_FULL: 1}
    assert list(tally.latency()) == pytest.approx([50.5, 95.05])


def test_old_latencies_are_forgotten() -> None:
    tally = RequestStatistics()
    tally.add(ErrorCode.OK, 1000.0)
    for _ in range(WINDOW):
        tally.add(ErrorCode.OK, 1.0)
    assert tally.latency() == (1.0, 1.0)
