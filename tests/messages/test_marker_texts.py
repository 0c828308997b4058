# SPDX-License-Identifier: Apache-2.0
"""On crowded tables no text covers another one or its own box, as rviz draws them."""

from __future__ import annotations

import numpy as np
import pytest
from visualization_msgs.msg import Marker

from gar_ros.geometry.extent import Extent, Vec3
from gar_ros.memory.scene_graph import Relation
from gar_ros.messages.markers import Markers, Placed
from tests.rviz import EYES, overlaps

ANSWERS = (
    "",
    "red",
    "no: Is 3 on top of 4?",
    "a small green striped ball",
    "a large black plain mug with a handle and a lid",
)


def thing(region_id: str, centre: Vec3, size: Vec3, answer: str = "") -> Placed:
    """centre, size: of its box, metres."""
    low, high = np.array(centre) - np.array(size) / 2, np.array(centre) + np.array(size) / 2
    return Placed(region_id, f"{region_id}  {answer}".strip(), Extent("f", 7, centre, tuple(low), tuple(high), 50))


def crowd(rng: np.random.Generator, count: int, z_up: bool) -> tuple[list[Placed], list[Relation]]:
    """`count` things that overlap in part on a table of half a metre, before the camera or around the robot's front."""
    middle = (0.6, 0.0, 0.4) if z_up else (0.0, 0.0, 0.6)
    things = [
        thing(str(n), tuple(rng.uniform(-0.25, 0.25, 3) * 0.8 + middle), tuple(rng.uniform(0.02, 0.15, 3)), answer)
        for n, answer in enumerate(rng.choice(ANSWERS, count))
    ]
    pairs = rng.choice(count, (count, 2))
    predicates = rng.choice(["on top of", "inside", "touching"], count)
    relations = [Relation(str(a), str(p), str(b), 0.9) for (a, b), p in zip(pairs, predicates, strict=True) if a != b]
    return things, relations


def all_overlaps(markers: list[Marker], z_up: bool) -> list[object]:
    return [found for eye in EYES[z_up] for found in overlaps(markers, eye)]


@pytest.mark.parametrize("z_up", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_texts_of_a_crowd_are_apart(seed: int, z_up: bool) -> None:
    rng = np.random.default_rng(seed)
    things, relations = crowd(rng, int(rng.integers(2, 25)), z_up)
    assert all_overlaps(Markers(2.0, z_up).update(things, relations).markers, z_up) == []


def test_the_check_finds_texts_that_lie_on_each_other_and_on_their_box() -> None:
    things = [thing("1", (0.0, 0.0, 0.6), (0.1, 0.1, 0.1)), thing("2", (0.0, 0.0, 0.6), (0.1, 0.1, 0.1))]
    box, label, other_box, other_label = Markers(2.0, z_up=False).update(things).markers
    other_label.pose.position = label.pose.position
    label.pose.position.y += 0.03
    other_box.id = 99
    assert list(overlaps([box, label, other_label], EYES[False][0])) == [
        (("labels", 0), ("labels", 1)),
        (("boxes", 0), ("labels", 0)),
    ]


@pytest.mark.parametrize("z_up", [False, True])
def test_a_thing_in_a_bowl_and_a_row_of_touching_things(z_up: bool) -> None:
    at = (lambda x, y, z: (x, y, z)) if z_up else (lambda x, y, z: (x, -z, 0.6 - y))
    bowl = thing("bowl", at(0.0, 0.0, 0.03), (0.14, 0.14, 0.14), "a large red bowl")
    inside = thing("can", at(0.0, 0.0, 0.05), (0.05, 0.05, 0.05), "a small green cylinder")
    row = [thing(str(n), at(0.04 * n - 0.1, -0.1, 0.02), (0.04, 0.04, 0.04), "yes: Is it a box?") for n in range(6)]
    relations = [Relation("can", "inside", "bowl", 0.9), Relation("bowl", "on top of", "can", 0.6)]
    relations += [Relation(str(n), "touching", str(n + 1), 0.8) for n in range(5)]
    assert all_overlaps(Markers(2.0, z_up).update([bowl, inside, *row], relations).markers, z_up) == []


def labels(markers: list[Marker]) -> np.ndarray:
    """(N, 3) positions."""
    found = [marker.pose.position for marker in markers if marker.ns == "labels" and marker.action == Marker.ADD]
    return np.array([(one.x, one.y, one.z) for one in found])


def test_labels_stay_while_things_tremble() -> None:
    """By a millimetre, as depth does: no label moves further than a few."""
    rng = np.random.default_rng(3)
    things, relations = crowd(rng, 15, z_up=False)
    markers = Markers(2.0, z_up=False)
    first = labels(markers.update(things, relations).markers)
    for _ in range(20):
        trembling = [
            thing(one.id, tuple(np.array(one.extent.centre) + rng.normal(0, 3e-4, 3)), one.extent.size, one.caption[3:])
            for one in things
        ]
        again = labels(markers.update(trembling, relations).markers)
        assert np.linalg.norm(again - first, axis=1).max() < 0.005


def test_a_newcomer_makes_room() -> None:
    """Its label would lie on the first one's, which stays where it is."""
    markers = Markers(2.0, z_up=False)
    old, new = thing("9", (0.0, 0.0, 0.6), (0.1, 0.1, 0.1)), thing("1", (0.01, 0.0, 0.6), (0.1, 0.1, 0.1))
    alone = labels(markers.update([old]).markers)[0]
    _, beside = labels(markers.update([new, old]).markers)
    assert beside == pytest.approx(alone)


def test_a_label_comes_back_when_there_is_room_again() -> None:
    markers = Markers(2.0, z_up=False)
    old, new = thing("9", (0.0, 0.0, 0.6), (0.1, 0.1, 0.1)), thing("1", (0.01, 0.0, 0.6), (0.1, 0.1, 0.1), "red")
    alone = labels(Markers(2.0, z_up=False).update([new]).markers)[0]
    for _ in range(2):
        aside = labels(markers.update([old, new]).markers)[1]
        assert np.linalg.norm(aside - alone) > 0.01
    assert labels(markers.update([new]).markers)[0] == pytest.approx(alone)


@pytest.mark.parametrize("z_up", [False, True])
def test_wherever_things_are_their_labels_are_near(z_up: bool) -> None:
    """Also behind a view's camera or far outside its picture."""
    rng = np.random.default_rng(1)
    for _ in range(200):
        one = thing("1", tuple(rng.uniform(-5, 5, 3)), tuple(rng.uniform(0.01, 0.3, 3)), "red")
        (position,) = labels(Markers(2.0, z_up).update([one]).markers)
        assert np.linalg.norm(position - one.extent.centre) < 1.5
