# SPDX-License-Identifier: Apache-2.0
"""What keeps regions from having a place costs no answer and is told by log and diagnostics, with what to change."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from visualization_msgs.msg import MarkerArray

from gar_ros.messages.headers import stamp_message, stamp_ns
from gar_ros.messages.images import image_message
from gar_ros.msg import RegionGeometry
from tests.messages.compressed_depth_messages import compressed_depth
from tests.processes import StartProcess
from tests.system.conftest import GarStarter, usual_parameters
from tests.system.robot import PATIENCE, Mailbox, Robot, Scene, labelled_scene, wait_until

K = [300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]
P = [150.0, 0.0, 100.0, 0.0, 0.0, 150.0, 100.0, 0.0, 0.0, 0.0, 1.0, 0.0]
MIDDLE = (69.5, 109.5)
"""Column and row in the middle of the red square, whose region is 1."""
STAND_INS = Path(__file__).with_name("stand_ins")


def scene(metres: np.ndarray | None = None, late: float = 0.0, **camera: Any) -> Scene:
    """All at 1 m. metres: another depth image. late: of the image's stamp, compared with depth, seconds. camera: fields
    of CameraInfo."""

    def make(header: Header) -> list[tuple[str, Any]]:
        info = CameraInfo(header=header, width=320, height=240, k=K, p=P, distortion_model="plumb_bob")
        for name, value in camera.items():
            setattr(info, name, value)
        then = Header(frame_id=header.frame_id, stamp=before(header.stamp, late))
        depth = np.ones((240, 320), np.float32) if metres is None else metres
        encoding = {"float32": "32FC1", "uint16": "16UC1", "uint8": "8UC1"}[depth.dtype.name]
        return [("camera_info", info), ("depth", image_message(depth, encoding, then)), *labelled_scene(header)]

    return make


def before(stamp: Time, seconds: float) -> Time:
    return stamp_message(max(stamp_ns(stamp) - round(seconds * 1e9), 0))


def place(robot: Robot) -> RegionGeometry:
    """Of the red square, from an answer."""
    return robot.client.query("<Prompt0>?", ["1"], max_tokens=1).geometries[0]


def has_place(robot: Robot, x: float, y: float) -> bool:
    """Whether the red square is there, within a millimetre."""
    found = place(robot).centroid
    return bool(np.abs([found.x - x, found.y - y, found.z - 1]).max() < 1e-3)


def values_of(mailbox: Mailbox) -> dict[str, str]:
    (status,) = mailbox.wait().status
    return {"message": status.message, **{pair.key: pair.value for pair in status.values}}


WRONG = [
    (scene(distortion_model="equidistant", d=[0.1] * 5), "expected 4 distortion coefficients of model equidistant"),
    (scene(d=[0.1] * 3), "distortion coefficients of model plumb_bob, or none, got 3"),
    (scene(distortion_model="fisheye62"), "expected one of the distortion models"),
    (scene(k=[float("nan"), *K[1:]]), "expected focal lengths and an image size above 0, got fx nan"),
    (scene(roi=RegionOfInterest(x_offset=300, width=320, height=240)), "expected roi with at least one pixel within"),
    (scene(height=120), "expected the camera of the depth image: it describes images of 320x120 px"),
    (scene(np.ones((240, 320), np.uint8)), "expected encoding 32FC1, 16UC1, mono16, got '8UC1'"),
    (scene(np.ones((120, 320), np.float32), height=120), "expected depth registered to the image of 320x240 px"),
    (scene(np.full((240, 320), 65535, np.uint16)), "has no measurement"),
    (scene(late=5.0), "older than the image, but depth.slop is"),
]


def test_what_can_not_be_used_costs_no_answer_and_log_and_diagnostics_say_why(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"diagnostics.rate": 10.0, "input.check_period": 0.5})
    diagnostics = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    x, y = ((pixel - centre) / 300 for pixel, centre in zip(MIDDLE, (160, 120), strict=True))
    with robot.publishing(scene()):
        robot.client.wait_until_ready(PATIENCE)
        wait_until(lambda: has_place(robot, x, y))
    for wrong, reason in WRONG:
        with robot.publishing(wrong):
            wait_until(lambda: place(robot).points == 0, lambda: reason)  # noqa: B023, called in this turn
            node.wait_for_log(reason, PATIENCE)
            wait_until(lambda: any(reason in told for told in values_of(diagnostics).values()), lambda: reason)  # noqa: B023
    whole = np.ones((240, 320), np.float32)
    with robot.publishing(
        scene(whole, width=640, height=480, roi=RegionOfInterest(x_offset=60, width=320, height=240))
    ):
        wait_until(lambda: has_place(robot, x + 60 / 300, y))
        wait_until(lambda: values_of(diagnostics)["message"] == "serving", lambda: values_of(diagnostics)["message"])
    assert "Traceback" not in node.log


def renamed(given: Scene, topics: dict[str, str]) -> Scene:
    return lambda header: [(topics.get(topic, topic), message) for topic, message in given(header)]


def test_a_rectified_image_and_compressed_depth_are_honoured(
    robot: Robot, start_process: StartProcess, model_dir: Path
) -> None:
    """By the topic's name, and P of the camera."""
    given = {**usual_parameters(model_dir), "depth.image_transport": "compressedDepth"}
    parameters = [part for name, value in given.items() for part in ("-p", f"{name}:={value}")]
    remapped = ("-r", "image:=/image_rect_color")
    start_process(sys.executable, "-m", "gar_ros.node.gar_node", "--ros-args", *remapped, *parameters)

    def sent(header: Header) -> list[tuple[str, Any]]:
        depth = compressed_depth(np.full((240, 320), 1000, np.uint16), "rvl")
        depth.header = header
        others = {topic: message for topic, message in scene(d=[0.1] * 3)(header) if topic != "depth"}
        return [("image_rect_color", others.pop("image")), ("depth/compressedDepth", depth), *others.items()]

    with robot.publishing(sent):
        robot.client.wait_until_ready(PATIENCE)
        wait_until(lambda: has_place(robot, *((pixel - 100) / 150 for pixel in MIDDLE)))


class Mount:
    """Publishes each scene, and 50 ms later where the camera was then."""

    def __init__(self, robot: Robot) -> None:
        self._publisher = robot.node.create_publisher(TFMessage, "/tf", 10)

    def __call__(self, header: Header) -> list[tuple[str, Any]]:
        mounted = TransformStamped(header=Header(stamp=header.stamp, frame_id="base"), child_frame_id="camera")
        mounted.transform.translation, mounted.transform.rotation = Vector3(x=5.0), Quaternion(w=1.0)
        threading.Timer(0.05, self._publisher.publish, (TFMessage(transforms=[mounted]),)).start()
        return scene()(header)


@pytest.fixture
def with_stand_in() -> dict[str, str]:
    """Environment of a node that takes the stand-in for tf2_ros."""
    return {"PYTHONPATH": f"{STAND_INS}:{os.environ.get('PYTHONPATH', '')}"}


def test_a_late_transformation_is_waited_for_and_a_missing_one_is_told(
    robot: Robot, gar: GarStarter, with_stand_in: dict[str, str]
) -> None:
    node = gar(with_stand_in, **{"depth.target_frame": "base", "diagnostics.rate": 10.0, "overlay.rate": 20.0})
    x = 5 + (MIDDLE[0] - 160) / 300
    with robot.publishing(Mount(robot)):
        robot.client.wait_until_ready(PATIENCE)
        wait_until(lambda: has_place(robot, x, (MIDDLE[1] - 120) / 300))
        wait_until(lambda: all(one.geometry.header.frame_id == "base" for one in robot.client.list_regions().regions))
        markers = Mailbox(robot, MarkerArray, "/gar/markers", QoSProfile(depth=1)).wait().markers
        assert {marker.header.frame_id for marker in markers} == {"base"}
    with robot.publishing(scene()):
        reason = "no transformation to depth.target_frame 'base': Lookup would require extrapolation"
        wait_until(lambda: place(robot).points == 0 and reason in node.log, lambda: node.log)
        diagnostics = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
        wait_until(lambda: "raise depth.max_wait" in values_of(diagnostics)["message"])
