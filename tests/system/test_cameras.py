# SPDX-License-Identifier: Apache-2.0
"""Several cameras, one model: each camera has its own topics, services, regions and tracks."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from gar_ros.client import RegionClient
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.errors import ErrorCode
from gar_ros.messages.images import image_message
from tests.system.conftest import GarStarter
from tests.system.robot import (
    PATIENCE,
    Mailbox,
    Robot,
    labelled_scene,
    labels_of,
    picture,
    refusal,
    wait_for,
    wait_until,
)

CAMERAS = "[front, wrist]"


def of_front(header: Header) -> list[tuple[str, Any]]:
    """A red and a blue square, regions 1 and 7."""
    return [(f"front/{topic}", message) for topic, message in labelled_scene(header)]


def of_wrist(header: Header) -> list[tuple[str, Any]]:
    """Another size, and the red square is region 3."""
    image = picture(400, 240)
    labels = np.where(labels_of(image) == 1, 3, 0).astype(np.uint8)
    return [
        ("wrist/image", image_message(image, "rgb8", header)),
        ("wrist/instances", image_message(labels, "mono8", header)),
    ]


def test_each_camera_has_its_own_regions_answers_and_pictures(robot: Robot, gar: GarStarter) -> None:
    gar(cameras=CAMERAS, model=default_model_dir())
    front, wrist = RegionClient(robot.node, "gar/front"), RegionClient(robot.node, "gar/wrist")
    overlays = {name: Mailbox(robot, Image, f"gar/{name}/overlay", QoSProfile(depth=1)) for name in ("front", "wrist")}
    with robot.publishing(of_front), robot.publishing(of_wrist):
        regions = front.wait_until_ready(PATIENCE).regions
        assert [region.id for region in regions] == ["1", "7"]
        assert [region.id for region in wrist.wait_until_ready(PATIENCE).regions] == ["3"]

        answer = front.query("What colour is <Prompt0>?", ["7"], choices=["red", "blue"], timeout=PATIENCE)
        assert answer.choice == 1
        answer = wrist.query("What colour is <Prompt0>?", ["3"], choices=["red", "blue"], timeout=PATIENCE)
        assert answer.choice == 0
        assert wrist.stream("What colour is <Prompt0>?", ["3"], max_tokens=1, timeout=PATIENCE).generated_tokens == 1
        code, message = refusal(lambda: wrist.query("What colour is <Prompt0>?", ["7"], timeout=PATIENCE))
        assert code is ErrorCode.UNKNOWN_REGION
        assert "7" in message
        assert [overlays[name].wait().width for name in ("front", "wrist")] == [320, 400]


def test_a_camera_without_images_says_so_and_takes_nothing_from_the_other(robot: Robot, gar: GarStarter) -> None:
    gar(cameras=CAMERAS, **{"diagnostics.rate": 5.0})
    reports = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=1))
    front, wrist = RegionClient(robot.node, "gar/front"), RegionClient(robot.node, "gar/wrist")
    with robot.publishing(of_front):
        front.wait_until_ready(PATIENCE)
        code, message = refusal(lambda: wrist.query("What is <Prompt0>?", ["3"], timeout=PATIENCE))
        assert code is ErrorCode.NO_FRAME
        assert "nobody publishes /wrist/image" in message

        def told() -> dict[str, tuple[bytes, str]]:
            statuses = reports.wait().status
            return {status.name: (status.level, status.message) for status in statuses}

        wait_until(lambda: told()["gar: camera front"] == (DiagnosticStatus.OK, "serving"))
        level, message = told()["gar: camera wrist"]
        assert level == DiagnosticStatus.WARN
        assert message == "no images with regions of camera wrist: nobody publishes /wrist/image"
        assert told()["gar: region questions"] == (level, message)


def test_a_camera_that_is_none_of_them_is_named_with_those_there_are(robot: Robot, gar: GarStarter) -> None:
    gar(cameras=CAMERAS)
    with robot.publishing(of_front):
        RegionClient(robot.node, "gar/front").wait_until_ready(PATIENCE)
        for name in ("gar/rear", "gar"):
            code, message = refusal(partial(RegionClient(robot.node, name).list_regions, timeout=1.0))
            assert code is ErrorCode.NOT_ACTIVE
            assert f"nobody is called /{name}; there are /gar/front, /gar/wrist" in message


@pytest.mark.parametrize("cameras", ["[front, front]", "[front/left]", "['']", "['', front]"])
def test_names_that_cameras_can_t_have_are_refused(robot: Robot, gar: GarStarter, cameras: str) -> None:
    node = gar(cameras=cameras)
    if cameras == "['']":
        with robot.publishing(labelled_scene):
            assert robot.client.wait_until_ready(PATIENCE).regions
        return
    ask = partial(robot.client.query, "What is <Prompt0>?", ["1"], timeout=PATIENCE)
    wait_for(ask, ErrorCode.NOT_ACTIVE, "cameras: expected")
    assert "cameras: expected" in node.log
