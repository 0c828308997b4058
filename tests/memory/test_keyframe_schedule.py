# SPDX-License-Identifier: Apache-2.0
"""When an image becomes a keyframe."""

from __future__ import annotations

import pytest

from gar_ros.memory.keyframe_schedule import KeyframeSchedule, overlap

BOX = (0, 0, 10, 10)


@pytest.mark.parametrize(
    ("stamp_ns", "boxes", "due"),
    [
        (1050, {"a": BOX}, False),
        (1000, {"a": BOX}, False),
        (1100, {"a": BOX}, True),  # the period is over
        (1050, {"a": BOX, "b": BOX}, True),  # a new region
        (1050, {"a": (4, 0, 14, 10)}, True),  # moved: 60 of 140 pixels shared
        (1050, {"a": (1, 0, 11, 10)}, False),
        (900, {"a": BOX}, True),  # stamps went back
        (1100, {}, False),  # nothing to be asked about
    ],
)
def test_a_keyframe_is_due(stamp_ns: int, boxes: dict[str, tuple[int, int, int, int]], due: bool) -> None:
    schedule = KeyframeSchedule(period_ns=100, min_overlap=0.6)
    assert schedule.due(1000, {"a": BOX})
    schedule.made(1000, {"a": BOX})
    assert schedule.due(stamp_ns, boxes) is due


def test_overlap() -> None:
    assert overlap(BOX, BOX) == 1
    assert overlap(BOX, (10, 0, 20, 10)) == overlap(BOX, None) == 0
    assert overlap(BOX, (5, 0, 15, 10)) == pytest.approx(1 / 3)
