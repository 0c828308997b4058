# SPDX-License-Identifier: Apache-2.0
"""Markers of simulated tables, from their rendered depth: crowded ones, and one on which everything moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from visualization_msgs.msg import Marker

from gar_ros.geometry.camera import CameraModel
from gar_ros.geometry.extent import Pose, region_extent
from gar_ros.geometry.surface import DepthSurface
from gar_ros.memory.scene_graph import Relation
from gar_ros.messages.markers import Markers, Placed
from tests.off_screen import skip_without_off_screen_opengl
from tests.rviz import EYES, overlaps

if TYPE_CHECKING:  # they need MuJoCo, which no robot has
    from gar_ros.sim.render import TabletopRenderer
    from gar_ros.sim.scene import Scene

WIDTH, HEIGHT = 320, 240
NOISE = 0.002  # metres; what a good depth camera has at this distance
ANSWERS = ("no: Is 3 on top of 4?", "red", "a small green striped ball", "yes: Is it a mug?", "a large plain mug")
PREDICATES = {"on_top": "on top of", "inside": "inside", "touching": "touching"}


@pytest.fixture(scope="module")
def renderer() -> Iterator[TabletopRenderer]:
    skip_without_off_screen_opengl()
    from gar_ros.sim.render import TabletopRenderer

    with TabletopRenderer(WIDTH, HEIGHT) as renderer:
        yield renderer


def table(
    renderer: TabletopRenderer, scene: Scene, rng: np.random.Generator, z_up: bool = False
) -> tuple[list[Placed], list[Relation]]:
    """What the node knows of a scene when every answer and relation is right. z_up: in the table's frame."""
    from gar_ros.sim.contact import YES
    from gar_ros.sim.transforms import to_matrix
    from gar_ros.sim.truth import scene_truth

    picture = renderer.render(scene)
    assert picture.depth is not None
    depth = picture.depth + rng.normal(0, NOISE, picture.depth.shape).astype(np.float32)
    camera = CameraModel(picture.intrinsics, np.zeros(5), "plumb_bob", (WIDTH, HEIGHT))
    surface = DepthSurface(0, "optical", lambda: depth, camera)
    pose = Pose("table", to_matrix(scene.camera.orientation), np.array(scene.camera.position)) if z_up else None
    placed = [
        Placed(str(n), f"{n}  {ANSWERS[n % len(ANSWERS)]}", region_extent(picture.labels == n, surface, pose))
        for n in np.unique(picture.labels[picture.labels > 0])
    ]
    relations = scene_truth(scene, picture.labels).relations
    facts = [
        Relation(str(i + 1), text, str(j + 1), 0.9)
        for name, text in PREDICATES.items()
        for i, j in np.argwhere(relations[name] == YES)
    ]
    return placed, facts


@pytest.mark.parametrize("z_up", [False, True])
@pytest.mark.parametrize("seed", range(4_000_000, 4_000_008))
def test_texts_of_a_crowded_table_are_apart(renderer: TabletopRenderer, seed: int, z_up: bool) -> None:
    from gar_ros.sim.generate import random_scene

    placed, relations = table(renderer, random_scene(seed, (9, 12)), np.random.default_rng(seed), z_up)
    assert len(placed) >= 6
    markers = Markers(2.0, z_up).update(placed, relations).markers
    assert [found for eye in EYES[z_up] for found in overlaps(markers, eye)] == []


def test_texts_of_the_demo_are_apart_and_keep_their_position_while_it_moves(renderer: TabletopRenderer) -> None:
    """Over half of the demo's motion, as often as rviz gets markers: labels follow their things, and hardly one in
    fifty changes its position beside them from one message to the next."""
    from gar_ros.sim.timeline import DEMO_SEED, Timeline

    rng, timeline, markers = np.random.default_rng(0), Timeline(DEMO_SEED), Markers(2.0, z_up=False)
    before: dict[int, NDArray[np.float64]] = {}
    steps: list[float] = []
    for number in range(50):
        placed, relations = table(renderer, timeline.at(round(number * 0.2e9)), rng)
        shown = markers.update(placed, relations).markers
        assert [found for eye in EYES[False] for found in overlaps(shown, eye)] == []
        now = label_offsets(shown)
        steps += [float(np.linalg.norm(now[one] - before[one])) for one in now.keys() & before.keys()]
        before = now
    assert len(steps) > 200
    assert np.quantile(steps, 0.98) < 0.015


def label_offsets(markers: list[Marker]) -> dict[int, NDArray[np.float64]]:
    """Each label's position from the middle of its box's points, (3,) in metres."""
    shown = [one for one in markers if one.action == Marker.ADD]
    boxes = {one.id: np.mean([(p.x, p.y, p.z) for p in one.points], 0) for one in shown if one.ns == "boxes"}
    places = {one.id: one.pose.position for one in shown if one.ns == "labels"}
    return {number: np.array([one.x, one.y, one.z]) - boxes[number] for number, one in places.items()}
