# SPDX-License-Identifier: Apache-2.0
"""Stamps, durations and headers: messages to nanoseconds and back."""

from __future__ import annotations

from builtin_interfaces.msg import Duration, Time
from std_msgs.msg import Header


def stamp_ns(stamp: Time) -> int:
    """Nanoseconds of a message's stamp."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp_message(nanoseconds: int) -> Time:
    """Stamp of a message."""
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def duration_message(nanoseconds: int) -> Duration:
    """Duration, negative ones too."""
    return Duration(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def header_message(frame_id: str, nanoseconds: int) -> Header:
    """Header of an image."""
    return Header(frame_id=frame_id, stamp=stamp_message(nanoseconds))
