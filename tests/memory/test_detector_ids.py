# SPDX-License-Identifier: Apache-2.0
"""Track ids by the ids of a detector: each means one object, whatever the detector calls its things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gar_ros.frame import Sighting
from gar_ros.memory import used_ids
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.used_ids import UsedIds

LOST = 10


def track(tracker: DetectorIds, stamp: int, *ids: str) -> list[str]:
    return tracker.track_ids(stamp, [Sighting(one, key=one or f"key {index}") for index, one in enumerate(ids)])


def test_a_detectors_own_cup_2_is_no_second_cup() -> None:
    tracker = DetectorIds(LOST)
    assert track(tracker, 0, "cup", "cup#2") == ["cup", "cup#2#1"]
    assert track(tracker, 50, "cup", "cup#2") == ["cup#2", "cup#2#2"]
    assert track(tracker, 51, "cup", "cup#2") == ["cup#2", "cup#2#2"]


def test_what_has_no_id_is_another_object_in_every_image() -> None:
    tracker = DetectorIds(LOST)
    assert track(tracker, 0, "", "cup", "") == ["detection:1", "cup", "detection:2"]
    assert track(tracker, 1, "", "detection:3", "detection:4x") == ["detection:3", "detection:3#1", "detection:4x"]


def test_an_id_that_was_forgotten_is_not_used_again() -> None:
    tracker = DetectorIds(LOST, capacity=2)
    assert track(tracker, 0, "a") + track(tracker, 1, "b") + track(tracker, 2, "c") == ["a", "b", "c"]
    assert tracker.known == 2
    assert track(tracker, 3, "a") == ["a#2"]
    assert track(tracker, 4, "a", "d") == ["a#2", "d"], "an id that is surely new keeps its name"


def test_all_ids_of_one_image_are_known_however_many() -> None:
    tracker, many = DetectorIds(LOST, capacity=2), [str(number) for number in range(9)]
    assert track(tracker, 0, *many) == track(tracker, 1, *many) == many


def test_a_hundred_thousand_ids_take_no_more_room_than_a_few() -> None:
    tracker = DetectorIds(LOST, capacity=50)
    for image in range(10_000):
        names = [f"thing {10 * image + one}" for one in range(10)]
        issued = track(tracker, image, *names)
        assert [one.removesuffix("#2") for one in issued] == names
    assert tracker.known == len(tracker._known) == 50
    assert len(tracker._forgotten._bits) == 2**20
    assert tracker._highest_forgotten <= 2


def test_a_full_set_of_used_ids_only_says_yes_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(used_ids, "_BITS", 64)
    used = UsedIds()
    assert "a" not in used
    for number in range(100):
        used.add(str(number))
    assert all(str(number) in used for number in range(100))
    assert "never" in used


names = st.sampled_from(
    ["", "cup", "cup#2", "cup#2#1", "cup#1", "cup#02", "#2", "detection:1", "detection:1#2", "t1", "é"]
)
image = st.tuples(st.integers(0, 25), st.lists(st.tuples(names, st.sampled_from(["", "", "dog", "cat"])), max_size=5))


@given(st.lists(image | st.none(), max_size=30), st.integers(1, 4), st.booleans())
def test_each_track_id_means_one_object(
    images: list[tuple[int, list[tuple[str, str]]] | None], capacity: int, full: bool
) -> None:
    """An object: the sightings of one id without a long gap, another label, or a jump of the clock between. None: the
    clock jumps. full: every id counts as used before."""
    tracker, stamp, serial = DetectorIds(LOST, capacity), 0, 0
    if full:
        tracker._forgotten._bits = bytearray(b"\xff" * (used_ids._BITS // 8))
    last: dict[str, tuple[int, str, int]] = {}  # id -> serial number of its object, label, stamp
    meant: dict[str, int] = {}
    for one in images:
        if one is None:
            tracker.clear()
            last.clear()
            continue
        stamp += one[0]
        seen = [
            sighting
            for index, sighting in enumerate(one[1])
            if not sighting[0] or sighting[0] not in dict(one[1][:index])
        ]
        issued = tracker.track_ids(
            stamp, [Sighting(name, label, key=f"key {index}") for index, (name, label) in enumerate(seen)]
        )
        assert len(set(issued)) == len(seen)
        for track_id, (name, label) in zip(issued, seen, strict=True):
            serial, known_label, seen_at = last.get(name, (0, "", 0))
            if not name or not serial or stamp - seen_at > LOST or (known_label and label and label != known_label):
                serial, known_label = max(meant.values(), default=0) + 1, ""
            last[name] = serial, known_label or label, stamp
            assert meant.setdefault(track_id, serial) == serial
            assert track_id
