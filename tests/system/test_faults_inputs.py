# SPDX-License-Identifier: Apache-2.0
"""Faults of camera, detector and clocks, as docs/faults.md tells them."""

from __future__ import annotations

from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from sensor_msgs.msg import Image, RegionOfInterest

from gar_ros.errors import ErrorCode
from gar_ros.msg import Region as RegionMessage
from tests.system.conftest import GarStarter
from tests.system.doctor import Doctor
from tests.system.robot import (
    PATIENCE,
    Robot,
    detected_scene,
    image_only,
    wait_for,
    wait_until,
)

SHORT = {"request.max_age": 1.0, "input.check_period": 0.5, "diagnostics.rate": 5.0}
"""So that tests needn't wait for what takes two and five seconds by default."""


def ask(robot: Robot) -> str:
    """The id of the region that answered."""
    return str(robot.client.query("<Prompt0>?", ["left"], max_tokens=1, timeout=PATIENCE).region_ids[0])


def ask_ad_hoc(robot: Robot) -> str:
    box = RegionMessage(id="here", box=RegionOfInterest(x_offset=40, y_offset=80, width=60, height=60))
    return str(robot.client.query("<Prompt0>?", regions=[box], max_tokens=1, timeout=PATIENCE).region_ids[0])


def answers(call: Callable[[], object]) -> Callable[[], bool]:
    """Whether `call` isn't refused any more."""

    def has_answer() -> bool:
        try:
            call()
        except Exception as error:
            if "GarError" in type(error).__name__:
                return False
            raise
        return True

    return has_answer


def test_a_camera_that_goes_is_told_and_welcome_back(robot: Robot, gar: GarStarter) -> None:
    node, doctor = gar(**SHORT), Doctor(robot)
    with robot.publishing(detected_scene):
        robot.client.wait_until_ready(PATIENCE)
        assert ask(robot) == "left"
    message = wait_for(lambda: ask(robot), ErrorCode.STALE_FRAME, "nobody publishes /image")
    assert "s old, but max_age is 1 s" in message
    status = doctor.wait_for(DiagnosticStatus.WARN, lifecycle_state="active")
    assert status.message == "no images with regions: nobody publishes /image"
    node.wait_for_log("no images with regions: nobody publishes /image", PATIENCE)
    with robot.publishing(detected_scene):
        wait_until(answers(lambda: ask(robot)))
        doctor.wait_for(DiagnosticStatus.OK, lifecycle_state="active")


def test_a_camera_that_hangs_is_told_too(robot: Robot, gar: GarStarter) -> None:
    node = gar(**SHORT)
    hung = robot.node.create_publisher(Image, "image", 5)
    with robot.publishing(detected_scene):
        robot.client.wait_until_ready(PATIENCE)
    wait_for(lambda: ask(robot), ErrorCode.STALE_FRAME, "the last message on /image came")
    node.wait_for_log("no images with regions: the last message on /image came", PATIENCE)
    robot.node.destroy_publisher(hung)


def test_without_its_detector_a_camera_still_serves_the_callers_regions(robot: Robot, gar: GarStarter) -> None:
    node, doctor = gar(**SHORT), Doctor(robot)
    with robot.publishing(image_only):
        with robot.publishing(detected_scene):
            robot.client.wait_until_ready(PATIENCE)
        wait_for(lambda: ask(robot), ErrorCode.STALE_FRAME, "nobody publishes /regions")
        doctor.wait_for(DiagnosticStatus.WARN, lifecycle_state="active")
        node.wait_for_log("no images with regions: nobody publishes /regions", PATIENCE)
        assert ask_ad_hoc(robot) == "here"
