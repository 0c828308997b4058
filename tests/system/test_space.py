# SPDX-License-Identifier: Apache-2.0
"""Places in space: depth in, geometry in answers and lists, boxes and points for rviz."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from gar_ros.messages.clouds import coloured_cloud
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import image_message
from gar_ros.msg import RegionGeometry
from tests.optional import without_packages
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labelled_scene, wait_until

T = TypeVar("T")
K = [300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]
LEFT_X = (69.5 - 160) / 300  # metres at 1 m: the red square covers columns 40 to 99
Y = (109.5 - 120) / 300


def metres() -> np.ndarray:
    """The red square at 1 m, the blue one where the sensor sees nothing, the rest at 2 m."""
    depth = np.full((240, 320), 2.0, np.float32)
    depth[80:140, 40:100] = 1.0
    depth[80:140, 200:260] = np.nan
    return depth


def scene_with_depth(header: Header) -> list[tuple[str, Any]]:
    depth = ("depth", image_message(metres(), "32FC1", header))
    return [("camera_info", CameraInfo(header=header, width=320, height=240, k=K)), depth, *labelled_scene(header)]


def scene_with_cloud(header: Header) -> list[tuple[str, Any]]:
    rows, columns = np.indices((240, 320))
    points = np.stack([(columns - 160) / 300, (rows - 120) / 300, np.ones_like(rows)], -1) * metres()[..., None]
    flat = points.astype(np.float32)
    cloud = coloured_cloud(flat.reshape(-1, 3), np.zeros((flat.size // 3, 3), np.uint8), header)
    cloud.height, cloud.width, cloud.row_step = 240, 320, 320 * 16
    return [("points", cloud), *labelled_scene(header)]


def assert_at_left_square(geometry: RegionGeometry) -> None:
    assert geometry.points > 3000
    assert (geometry.centroid.x, geometry.centroid.y, geometry.centroid.z) == pytest.approx((LEFT_X, Y, 1), abs=1e-3)
    assert (geometry.box_centre.x, geometry.box_centre.z) == pytest.approx((LEFT_X, 1), abs=2e-3)
    assert (geometry.box_size.x, geometry.box_size.y) == pytest.approx((0.2, 0.2), abs=0.02)


def geometries(robot: Robot) -> dict[str, RegionGeometry]:
    return {region.id: region.geometry for region in robot.client.list_regions().regions}


def placed(ask: Callable[[], T], geometry: Callable[[T], RegionGeometry]) -> T:
    """The first reply with a place: on a busy machine an image's depth may be lost, or come too late for it."""
    replies: list[T] = []

    def has_place() -> bool:
        replies.append(ask())
        return geometry(replies[-1]).points > 0

    wait_until(has_place)
    return replies[-1]


def test_answers_and_lists_carry_places_and_rviz_gets_boxes_and_points(robot: Robot, gar: GarStarter) -> None:
    gar(**{"overlay.rate": 10})
    with robot.publishing(scene_with_depth):
        robot.client.wait_until_ready(PATIENCE)
        wait_until(lambda: geometries(robot)["1"].points > 0)
        answer = placed(
            lambda: robot.client.query("<Prompt1> <Prompt0>?", ["7", "1"], max_tokens=1),
            lambda reply: reply.geometries[1],
        )
        unknown, known = answer.geometries
        assert_at_left_square(known)
        assert known.header.frame_id == "camera"
        assert stamp_ns(known.header.stamp) == stamp_ns(answer.header.stamp)
        assert unknown.points == 0
        assert all(math.isnan(value) for value in (unknown.centroid.x, unknown.box_centre.y, unknown.box_size.z)), (
            "never a made-up depth"
        )

        boxes = Mailbox(robot, MarkerArray, "/gar/markers", QoSProfile(depth=1)).wait()
        assert [(marker.ns, marker.header.frame_id) for marker in boxes.markers] == [
            ("boxes", "camera"),
            ("labels", "camera"),
        ]
        cloud = Mailbox(robot, PointCloud2, "/gar/cloud", QoSProfile(depth=1)).wait()
        assert cloud.width == known.points
        assert cloud.header.frame_id == "camera"


def test_an_organised_cloud_serves_as_well(robot: Robot, gar: GarStarter) -> None:
    gar(**{"depth.source": "points"})
    with robot.publishing(scene_with_cloud):
        robot.client.wait_until_ready(PATIENCE)
        found = placed(lambda: geometries(robot), lambda reply: reply["1"])
        assert_at_left_square(found["1"])
        assert found["7"].points == 0


def test_depth_that_can_not_be_used_costs_no_answer_and_the_log_says_why(robot: Robot, gar: GarStarter) -> None:
    node = gar()

    def uncalibrated(header: Header) -> list[tuple[str, Any]]:
        return [("camera_info", CameraInfo(header=header, width=320, height=240)), *scene_with_depth(header)[1:]]

    with robot.publishing(uncalibrated):
        robot.client.wait_until_ready(PATIENCE)
        node.wait_for_log("no places in space: camera_info: expected focal lengths", PATIENCE)
        assert robot.client.query("<Prompt0>?", ["1"], max_tokens=1).geometries[0].points == 0


def test_places_come_in_the_target_frame(robot: Robot, gar: GarStarter) -> None:
    """By the real tf2, of a camera that is turned by a quarter about its axis and moved."""
    tf2_ros = pytest.importorskip("tf2_ros", reason="tf2_ros is not installed (apt: ros-jazzy-tf2-ros-py)")
    mounted = TransformStamped(header=Header(frame_id="base"), child_frame_id="camera")
    mounted.transform.translation = Vector3(x=1.0, y=2.0, z=3.0)
    mounted.transform.rotation = Quaternion(z=0.5**0.5, w=0.5**0.5)
    tf2_ros.StaticTransformBroadcaster(robot.node).sendTransform(mounted)
    gar(**{"depth.target_frame": "base"})
    with robot.publishing(scene_with_depth):
        robot.client.wait_until_ready(PATIENCE)
        wait_until(lambda: geometries(robot)["1"].points > 0)
        geometry = geometries(robot)["1"]
    assert geometry.header.frame_id == "base"
    place = (geometry.centroid.x, geometry.centroid.y, geometry.centroid.z)
    assert place == pytest.approx((1 - Y, 2 + LEFT_X, 4), abs=1e-3)


def test_a_target_frame_without_tf2_fails_configure_with_its_reason(
    robot: Robot, gar: GarStarter, tmp_path: Path
) -> None:
    node = gar(without_packages(tmp_path / "absent", "tf2_ros"), **{"depth.target_frame": "base"})
    node.wait_for_log("can't configure: parameter depth.target_frame is 'base', which needs tf2_ros", PATIENCE)
