# SPDX-License-Identifier: Apache-2.0
"""Stamps that jump, as docs/faults.md tells them: two seconds of right stamps suffice, whatever came before."""

from __future__ import annotations

import itertools
import time

from sensor_msgs.msg import Image
from std_msgs.msg import Header

from gar_ros.errors import GarError
from gar_ros.messages.headers import stamp_message, stamp_ns
from gar_ros.messages.images import image_message
from gar_ros.msg import RegionArray
from tests.system.conftest import GarStarter
from tests.system.robot import Robot, picture, regions_of, wait_until

HOUR = 3600 * 10**9
STEP = 10**8
"""Nanoseconds from stamp to stamp: a camera of 10 Hz."""
WRONG, RIGHT = 40, 20
"""Number of images with wrong stamps, more than wait for their regions (sync.queue_size), and of those then: 2 s."""

BOTH, IMAGES, REGIONS = ("image", "regions"), ("image",), ("regions",)


class Stamper:
    """Publishes images and their regions, by count and not by the clock."""

    def __init__(self, robot: Robot) -> None:
        self._images = robot.node.create_publisher(Image, "image", 5)
        self._regions = robot.node.create_publisher(RegionArray, "regions", 5)
        self._stamp = robot.node.get_clock().now().nanoseconds

    def publish(self, count: int, offset: int = 0, of: tuple[str, ...] = ()) -> tuple[int, int]:
        """Publishes `count` pairs; the right stamps of the first and the last. offset: added to those `of` topics."""
        first = self._stamp
        for _ in range(count):
            stamps = {topic: self._stamp + (offset if topic in of else 0) for topic in BOTH}
            headers = {topic: Header(stamp=stamp_message(stamps[topic]), frame_id="camera") for topic in BOTH}
            self._images.publish(image_message(picture(), "rgb8", headers["image"]))
            self._regions.publish(regions_of(picture(), headers["regions"]))
            self._stamp += STEP
            time.sleep(0.03)  # subscriptions keep only the newest message
        return first, self._stamp - STEP


def newest(robot: Robot) -> int:
    """Stamp of the newest image with regions, 0 where there is none."""
    try:
        return int(stamp_ns(robot.client.list_regions().header.stamp))
    except GarError:
        return 0


def test_after_any_jump_two_seconds_of_right_stamps_suffice(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"request.max_age": 1e5})
    stamper = Stamper(robot)
    robot.wait_for_state("active")

    def is_paired() -> bool:
        return stamper.publish(1)[0] > 0 and newest(robot) > 0

    wait_until(is_paired)
    for offset, of in itertools.product((HOUR, -HOUR), (BOTH, IMAGES, REGIONS)):
        stamper.publish(WRONG, offset, of)
        first, last = stamper.publish(RIGHT)
        wait_until(lambda: first <= newest(robot) <= last, lambda: f"{of} by {offset}: {newest(robot) - first}")  # noqa: B023
    assert "Traceback" not in node.log
