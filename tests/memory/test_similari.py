# SPDX-License-Identifier: Apache-2.0
"""Detectors without ids: boxes are associated by Similari, as it is."""

from __future__ import annotations

import importlib

import pytest

from gar_ros.frame import Sighting

pytest.importorskip("similari", reason="similari-trackers-rs is not installed (no wheels for Python 3.13)")
association = importlib.import_module("gar_ros.memory.similari")


def cup(at: int) -> Sighting:
    return Sighting("whatever", "cup", 0.9, (at, 10, at + 30, 40))


def bowl(at: int) -> Sighting:
    return Sighting("other", "bowl", float("nan"), (200 - at, 60, 240 - at, 100))


def test_objects_keep_their_ids_whatever_order_they_come_in_and_through_an_occlusion() -> None:
    tracker = association.AssociatedIds(min_overlap=0.1, max_idle=10)
    first = tracker.track_ids(0, [cup(0), bowl(0)])
    assert len(set(first)) == 2
    assert tracker.track_ids(1, [bowl(1), cup(1)]) == first[::-1]
    assert tracker.track_ids(2, [cup(2)]) == first[:1]
    assert tracker.track_ids(3, []) == []
    assert tracker.track_ids(4, [cup(4), bowl(4)]) == first


def test_no_id_is_used_again() -> None:
    tracker = association.AssociatedIds(min_overlap=0.1, max_idle=2)
    old = tracker.track_ids(0, [cup(0), bowl(0)])
    for stamp in range(1, 6):
        tracker.track_ids(stamp, [])
    late = tracker.track_ids(6, [cup(0), bowl(0)])
    tracker.clear()
    later = tracker.track_ids(0, [cup(0), bowl(0)])
    assert len({*old, *late, *later}) == 6


def test_faint_and_missing_scores_are_followed() -> None:
    tracker = association.AssociatedIds(min_overlap=0.1, max_idle=10)
    faint = Sighting("x", "", 0.0, (0, 0, 9, 9))
    assert tracker.track_ids(0, [faint]) == tracker.track_ids(1, [faint])


def test_a_region_without_a_box_is_named() -> None:
    with pytest.raises(ValueError, match="'x': expected a box"):
        association.AssociatedIds(min_overlap=0.1, max_idle=10).track_ids(0, [Sighting("x")])
