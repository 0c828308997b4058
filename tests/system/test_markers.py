# SPDX-License-Identifier: Apache-2.0
"""Arrows of relations in rviz: they come with rviz alone, stay while graphs come, and are those that are asked for."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from gar_ros.messages.images import image_message
from gar_ros.msg import SceneGraph
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labelled_scene, wait_until

K = [300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
EVERYTHING = {"graph.threshold": 0.001, "overlay.rate": 10.0}
"""The model of the tests is random: every relation counts as one."""


def scene(header: Header) -> list[tuple[str, Any]]:
    """Both squares at 1 m."""
    depth = image_message(np.ones((240, 320), np.float32), "32FC1", header)
    info = CameraInfo(header=header, width=320, height=240, k=K)
    return [("camera_info", info), ("depth", depth), *labelled_scene(header)]


class Viewer:
    """Keeps all marker messages that come from now on."""

    def __init__(self, robot: Robot) -> None:
        self._lock = threading.Lock()
        self._messages: list[MarkerArray] = []
        robot.node.create_subscription(MarkerArray, "/gar/markers", self._keep, QoSProfile(depth=10))

    def _keep(self, message: MarkerArray) -> None:
        with self._lock:
            self._messages.append(message)

    def texts(self) -> list[list[str]]:
        """What is written at the arrows in each message."""
        with self._lock:
            return [[one.text for one in message.markers if is_predicate(one)] for message in self._messages]

    def since_first_arrow(self) -> list[list[str]]:
        """The same from the first message with an arrow on."""
        texts = self.texts()
        return texts[next((number for number, found in enumerate(texts) if found), len(texts)) :]


def is_predicate(marker: Marker) -> bool:
    return bool(marker.ns == "predicates" and marker.action == Marker.ADD)


def test_arrows_come_with_rviz_alone_and_do_not_blink(robot: Robot, gar: GarStarter) -> None:
    """Graphs come every second, but an image is too old to be asked about after a third of one."""
    gar(**EVERYTHING, **{"graph.rate": 1.0, "request.max_age": 0.3})
    with robot.publishing(scene):
        viewer = Viewer(robot)
        wait_until(lambda: len(viewer.since_first_arrow()) >= 30)
    assert all(viewer.since_first_arrow()[:30])


def test_what_touches_is_drawn_and_subscribers_of_the_graph_get_all(robot: Robot, gar: GarStarter) -> None:
    gar(**EVERYTHING, **{"graph.rate": 5.0})
    with robot.publishing(scene):
        viewer = Viewer(robot)
        wait_until(lambda: len(viewer.since_first_arrow()) >= 1)
        graph = Mailbox(robot, SceneGraph, "/gar/scene_graph", LATCHED).wait()
        assert list(graph.predicates) == ["on top of", "inside", "touching", "to the left of", "in front of"]
        count = len(viewer.texts())
        wait_until(lambda: len(viewer.texts()) > count + 10)
    lines = [line.rpartition(" ")[0] for found in viewer.texts() for text in found for line in text.split("\n")]
    assert set(lines) == {"on top of", "inside", "touching"}


def test_the_predicates_that_are_drawn_are_a_parameter_and_unknown_ones_are_told(robot: Robot, gar: GarStarter) -> None:
    node = gar(**EVERYTHING, **{"graph.rate": 5.0, "markers.predicates": ["in front of", "under"]})
    with robot.publishing(scene):
        viewer = Viewer(robot)
        wait_until(lambda: len(viewer.since_first_arrow()) >= 1)
    assert all(text.startswith("in front of ") for text in viewer.since_first_arrow()[0])
    node.wait_for_log("but ['under'] are not among them and will not be drawn", PATIENCE)


@pytest.mark.parametrize("given", ["['']", "[' ']"])
def test_an_empty_predicate_fails_configure_with_its_reason(robot: Robot, gar: GarStarter, given: str) -> None:
    node = gar(**{"markers.predicates": given})
    node.wait_for_log("markers.predicates: expected texts, none empty", PATIENCE)
