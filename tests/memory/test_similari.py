# SPDX-License-Identifier: Apache-2.0
"""Detectors without ids: boxes are associated by Similari, as it is."""

from __future__ import annotations

import importlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def boxes(*of: tuple[int, int, int, int]) -> list[Sighting]:
    return [Sighting("", box=one) for one in of]


@pytest.mark.parametrize("odd", [(5, 5, 5, 9), (5, 5, 9, 5), (9, 9, 5, 5), (0, 0, 2**31, 9), (-(2**40), 0, 9, 9)])
def test_a_box_that_similari_can_not_take_costs_only_itself(odd: tuple[int, int, int, int]) -> None:
    tracker = association.AssociatedIds(min_overlap=0.1, max_idle=10)
    fine = (10, 10, 40, 40)
    ids = [tracker.track_ids(stamp, boxes(odd, fine)) for stamp in range(4)]
    assert len({fine for _, fine in ids}) == 1
    assert len({odd for odd, _ in ids}) == 4, "nothing continues it"
    assert len({one for pair in ids for one in pair}) == 5


def test_a_thing_that_shrinks_fast_is_followed() -> None:
    """SORT expects it to go on shrinking, below nothing, and would panic."""
    tracker = association.AssociatedIds(min_overlap=0.1, max_idle=10)
    other = (300, 300, 340, 340)
    ids = []
    for stamp, size in enumerate((200, 200, 130, 80, 30, 6, 2, 1, 1, 1)):
        ids.append(tracker.track_ids(stamp, boxes((100, 100, 100 + size, 100 + size), other)))
    assert len({other for _, other in ids}) == 1, "the others keep their ids"
    assert association._broken == []


def test_a_panic_ends_all_tracks_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As pyo3 raises it."""

    class Broken:
        def predict(self, boxes: object) -> object:
            raise PanicException("called `Result::unwrap()` on an `Err` value")

    monkeypatch.setattr(association, "_broken", [])
    tracker = association.AssociatedIds(min_overlap=0.1, max_idle=10)
    before = tracker.track_ids(0, boxes((0, 0, 9, 9)))
    monkeypatch.setattr(tracker, "_sort", Broken())
    during = tracker.track_ids(1, boxes((0, 0, 9, 9)))
    after = [tracker.track_ids(stamp, boxes((0, 0, 9, 9))) for stamp in (2, 3)]
    assert after[0] == after[1]
    assert len({*before, *during, *after[0]}) == 3


sides = st.integers(1, 60) | st.sampled_from([1, 1, 2, 200])
rectangle = st.tuples(st.integers(0, 600), st.integers(0, 400), sides, sides)


@settings(max_examples=20)
@given(st.lists(st.lists(rectangle, max_size=4), max_size=12), st.integers(1, 5))
def test_any_boxes_get_ids_that_differ(images: list[list[tuple[int, int, int, int]]], shrink: int) -> None:
    tracker = association.AssociatedIds(min_overlap=0.1, max_idle=2)
    for stamp, found in enumerate(images):
        for step in range(3):
            given_ = [(x, y, x + max(w // shrink**step, 1), y + max(h // shrink**step, 1)) for x, y, w, h in found]
            ids = tracker.track_ids(3 * stamp + step, boxes(*given_))
            assert len(set(ids)) == len(found)
    assert association._broken == []
