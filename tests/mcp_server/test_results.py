# SPDX-License-Identifier: Apache-2.0
"""What tools return is what the node said, in values that JSON holds, and never endless."""

from __future__ import annotations

import json
import math

import pytest
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import Header

from gar_ros.mcp_server.results import (
    LONGEST_LABEL,
    MOST_FACTS,
    MOST_REGIONS,
    found_of,
    graph_of,
    regions_of,
    reply_of,
    stamp_of,
    stamp_text,
)
from gar_ros.msg import Answer, FoundRegion, Region, RegionGeometry, Relation, SceneGraph, Track
from gar_ros.srv import FindRegions, ListRegions

NAN = math.nan
HEADER = Header(stamp=Time(sec=12, nanosec=5), frame_id="camera")
PLACED = RegionGeometry(
    header=HEADER, centroid=Point(x=0.12345, y=0.0, z=1.0), box_size=Vector3(x=0.1, y=0.2, z=0.3), points=9
)
UNPLACED = RegionGeometry(centroid=Point(x=NAN, y=NAN, z=NAN))


def test_regions_have_ids_labels_boxes_and_places() -> None:
    mug, bowl = Region(id="3", label="mug", score=0.5, geometry=PLACED), Region(id="t2", score=NAN, geometry=UNPLACED)
    mug.box.x_offset, mug.box.width = 7, 20
    spoon = Track(id="1", label="spoon", state=Track.COASTING, last_seen=Time(sec=10, nanosec=5))
    listed = regions_of(
        ListRegions.Response(
            header=HEADER, age=Duration(nanosec=250_000_000), regions=[mug, bowl], tracks=[Track(id="3"), spoon]
        )
    )
    assert (listed.stamp, listed.frame_id, listed.age_seconds, listed.left_out) == ("12.000000005", "camera", 0.25, 0)
    first, second = listed.regions
    assert (first.id, first.label, first.score, first.box.x, first.box.width) == ("3", "mug", 0.5, 7, 20)
    assert first.place is not None
    assert (first.place.centroid, first.place.frame_id) == ((0.1235, 0.0, 1.0), "camera")
    assert (second.score, second.place) == (None, None), "not NaN, which JSON has not"
    assert [(one.id, one.label, one.state, one.unseen_seconds) for one in listed.unseen] == [
        ("1", "spoon", "coasting", 2.0)
    ]
    json.loads(listed.model_dump_json())


def test_of_many_regions_the_first_are_listed_and_the_others_counted() -> None:
    regions = [Region(id=str(number), label="x" * 1000) for number in range(MOST_REGIONS + 3)]
    listed = regions_of(ListRegions.Response(regions=regions, tracks=[Track(id="a")]))
    assert (len(listed.regions), listed.left_out, len(listed.unseen)) == (MOST_REGIONS, 3, 1)
    assert len(listed.regions[0].label) == LONGEST_LABEL


def test_a_reply_names_the_probability_of_each_choice() -> None:
    answer = Answer(
        header=HEADER, text="red", region_ids=["3", "4"], geometries=[PLACED, UNPLACED], choices=["red", "blue"],
        choice=0, probabilities=[0.9, 0.1], confidence=0.9, complete=True,
    )  # fmt: skip
    reply = reply_of(answer)
    assert reply.probabilities == {"red": 0.9, "blue": 0.1}
    assert (reply.text, reply.confidence, reply.complete, reply.stamp) == ("red", 0.9, True, "12.000000005")
    assert list(reply.places) == ["3"], "where depth is known"


def test_an_open_answer_has_no_probabilities() -> None:
    assert reply_of(Answer(text="a mug", confidence=NAN)).model_dump()["confidence"] is None
    assert reply_of(Answer(text="a mug")).probabilities == {}


def test_what_fits_words_has_its_probability_and_the_other_object() -> None:
    ball = FoundRegion(header=HEADER, id="3", probability=0.75, other_id="4", out_of_view=True, geometry=PLACED)
    found = found_of(FindRegions.Response(regions=[ball], asked=6, skipped=2))
    (one,) = found.regions
    assert (one.id, one.probability, one.other_id, one.out_of_view) == ("3", 0.75, "4", True)
    assert (one.stamp, found.asked, found.skipped) == ("12.000000005", 6, 2)
    assert one.place is not None


def test_of_many_facts_the_most_probable_are_kept_in_the_graphs_order() -> None:
    count = MOST_FACTS + 2
    relations = [
        Relation(subject=str(n), predicate="on", object="x", probability=(n + 1) / count) for n in range(count)
    ]
    graph = graph_of(SceneGraph(header=HEADER, relations=relations, asked=count, skipped=4))
    assert [fact.subject for fact in graph.facts] == [str(number) for number in range(2, count)]
    assert (graph.left_out, graph.asked, graph.skipped) == (2, count, 4)


def test_few_facts_are_all_kept() -> None:
    graph = graph_of(SceneGraph(relations=[Relation(subject="a", predicate="on", object="b", probability=0.75)]))
    assert [(fact.subject, fact.predicate, fact.object, fact.probability) for fact in graph.facts] == [
        ("a", "on", "b", 0.75)
    ]


@pytest.mark.parametrize("stamp", [Time(sec=12, nanosec=5), Time(sec=1_800_000_000, nanosec=999_999_999)])
def test_a_stamp_comes_back_exactly(stamp: Time) -> None:
    assert stamp_of(stamp_text(stamp)) == stamp
    assert stamp_of("") is None
