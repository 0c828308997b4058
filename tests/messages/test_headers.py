# SPDX-License-Identifier: Apache-2.0
"""Stamps and durations keep their nanoseconds."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time

from gar_ros.messages.headers import duration_message, stamp_message, stamp_ns


def test_stamps_keep_every_nanosecond() -> None:
    stamp = Time(sec=1795425687, nanosec=187296691)
    assert stamp_ns(stamp) == 1795425687187296691
    assert stamp_message(1795425687187296691) == stamp


def test_negative_durations_have_a_positive_fraction() -> None:
    assert duration_message(-250_000_000) == Duration(sec=-1, nanosec=750_000_000)
