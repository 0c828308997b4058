# SPDX-License-Identifier: Apache-2.0
"""Boxes and labels in space; what is gone is deleted."""

from __future__ import annotations

import pytest
from visualization_msgs.msg import Marker

from gar_ros.geometry.extent import Extent
from gar_ros.memory.scene_graph import Relation
from gar_ros.messages.markers import Markers, Placed, captions

LOW, HIGH = (0.0, -0.1, 1.0), (0.2, 0.1, 1.4)


def placed(region_id: str, frame_id: str = "optical") -> Placed:
    return Placed(region_id, f"{region_id}!", Extent(frame_id, 7, (0.1, 0.0, 1.1), LOW, HIGH, 50))


def actions(markers: list[Marker]) -> list[tuple[str, int, int]]:
    return [(marker.ns, marker.id, marker.action) for marker in markers]


def test_each_region_has_a_box_and_a_label_that_expire() -> None:
    box, label = Markers(2.0, z_up=False).update([placed("mug")]).markers
    assert actions([box, label]) == [("boxes", 0, Marker.ADD), ("labels", 0, Marker.ADD)]
    assert box.header.frame_id == "optical"
    assert box.header.stamp.nanosec == 7
    assert box.lifetime.sec == 2
    assert label.text == "mug!"
    corners = {(point.x, point.y, point.z) for point in box.points}
    assert len(box.points) == 24, "twelve edges"
    assert len(corners) == 8
    assert {LOW, HIGH} <= corners
    for start, end in zip(box.points[::2], box.points[1::2], strict=True):
        assert (start.x != end.x) + (start.y != end.y) + (start.z != end.z) == 1, "edges follow the axes"


@pytest.mark.parametrize(("z_up", "above"), [(False, (0.1, -0.1095, 1.0)), (True, (0.1, 0.0, 1.4122))])
def test_the_label_of_a_flat_thing_is_just_above_it(z_up: bool, above: tuple[float, float, float]) -> None:
    """4 mm from its edge, at its nearest face where y points down. Half a line is 5.5 mm high, and where z is up it is
    seen from half above."""
    flat = (LOW, (HIGH[0], HIGH[1], LOW[2])) if not z_up else ((0.1, 0.0, HIGH[2]), (0.1, 0.0, HIGH[2]))
    thing = Placed("mug", "mug", Extent("optical", 7, flat[0], *flat, 50))
    position = Markers(2.0, z_up).update([thing]).markers[1].pose.position
    assert (position.x, position.y, position.z) == pytest.approx(above, abs=3e-4)


def test_every_text_says_how_wide_its_spaces_are() -> None:
    tray = Placed("tray", "tray  red", Extent("optical", 7, (0.1, 0.2, 1.0), LOW, HIGH, 50))
    markers = Markers(2.0, z_up=False).update([placed("mug"), tray], [related("mug", "tray")]).markers
    texts = [marker for marker in markers if marker.type == Marker.TEXT_VIEW_FACING]
    assert [(text.ns, text.scale.x, text.scale.z) for text in texts] == [
        ("labels", 0.0055, 0.011),
        ("labels", 0.0055, 0.011),
        ("predicates", 0.004, 0.008),
    ]


def test_what_is_gone_is_deleted_once_and_numbers_stay_with_their_region() -> None:
    markers = Markers(2.0, z_up=False)
    markers.update([placed("mug"), placed("bowl")])
    assert actions(markers.update([placed("bowl")]).markers) == [
        ("boxes", 0, Marker.DELETE),
        ("labels", 0, Marker.DELETE),
        ("boxes", 1, Marker.ADD),
        ("labels", 1, Marker.ADD),
    ]
    assert actions(markers.update([]).markers) == [("boxes", 1, Marker.DELETE), ("labels", 1, Marker.DELETE)]
    assert markers.update([]).markers == []


def test_a_region_without_a_known_place_is_not_shown() -> None:
    markers = Markers(2.0, z_up=False)
    assert markers.update([Placed("mug", "mug", Extent("optical", 7))]).markers == []


def test_captions_name_region_label_and_newest_answer() -> None:
    assert captions({"1": "mug", "2": "", "3": ""}, {"1": "red", "2": "a\nball", "9": "gone"}) == {
        "1": "1 mug  red",
        "2": "2  a ball",
        "3": "3",
    }


def related(subject: str, other: str, predicate: str = "on top of", probability: float = 0.9) -> Relation:
    return Relation(subject, predicate, other, probability)


def test_relations_are_arrows_from_subject_to_object_with_all_their_predicates() -> None:
    mug = Placed("mug", "", Extent("optical", 7, (0.0, 0.0, 1.0), LOW, HIGH, 50))
    tray = Placed("tray", "", Extent("optical", 7, (0.1, 0.2, 1.0), LOW, HIGH, 50))
    facts = [related("mug", "tray"), related("mug", "tray", "touching", 0.75)]
    markers = Markers(2.0, z_up=False).update([mug, tray], facts).markers
    arrow, text = markers[4:]
    assert actions([arrow, text]) == [("arrows", 0, Marker.ADD), ("predicates", 0, Marker.ADD)]
    assert [(point.x, point.y, point.z) for point in arrow.points] == [(0.0, 0.0, 1.0), (0.1, 0.2, 1.0)]
    assert text.text == "on top of 0.90\ntouching 0.75"
    assert arrow.lifetime.sec == text.lifetime.sec == 2


def test_arrows_go_with_their_relation_or_region() -> None:
    markers = Markers(2.0, z_up=False)
    both = [placed("mug"), placed("bowl")]
    markers.update(both, [related("mug", "bowl"), related("bowl", "mug")])
    without_one = markers.update(both, [related("bowl", "mug")]).markers[4:]
    assert actions(without_one) == [
        ("arrows", 0, Marker.DELETE),
        ("predicates", 0, Marker.DELETE),
        ("arrows", 1, Marker.ADD),
        ("predicates", 1, Marker.ADD),
    ]
    gone = markers.update([placed("mug"), Placed("bowl", "", Extent("optical", 7))], [related("bowl", "mug")]).markers
    assert ("arrows", 1, Marker.DELETE) in actions(gone)
    assert not [marker for marker in gone if marker.ns == "arrows" and marker.action == Marker.ADD]
