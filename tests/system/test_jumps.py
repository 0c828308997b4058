# SPDX-License-Identifier: Apache-2.0
"""Stamps that jump under a running node, ahead and back, of the detector alone and of everything: it finds back."""

from __future__ import annotations

import itertools
from typing import Any

from std_msgs.msg import Header

from gar_ros.messages.headers import header_message, stamp_ns
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, labelled_scene, wait_until

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
QUEUE = 30  # the default of sync.queue_size


class Jumping:
    """A camera and a detector of 10 Hz, each of which may have another clock for a while."""

    def __init__(self, start: int) -> None:
        self.ticks = itertools.count()
        self.start = self.now = start
        self.everything = self.detector = 0  # by how much the clocks are ahead, nanoseconds
        self.sent = 0

    def stamp(self) -> int:
        self.sent += 1
        self.now = self.start + next(self.ticks) * SECOND // 10 + self.everything
        return self.now

    def scene(self, header: Header) -> list[tuple[str, Any]]:
        image, (topic, labels) = labelled_scene(header)
        labels.header = header_message("camera", stamp_ns(header.stamp) + self.detector)
        return [image, (topic, labels)]

    def wait_for(self, messages: int) -> None:
        """Until so many more were sent."""
        there = self.sent + messages
        wait_until(lambda: self.sent >= there)


def test_stamps_that_jump_cost_no_more_than_their_messages(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"request.max_age": 1e5})
    camera = Jumping(robot.node.get_clock().now().nanoseconds - 2 * HOUR)

    def finds_pairs() -> None:
        """Of images that are sent from now on."""
        since = camera.now
        wait_until(lambda: 0 <= stamp_ns(robot.client.list_regions().header.stamp) - since < 60 * SECOND)

    with robot.publishing(camera.scene, stamps=camera.stamp):
        robot.client.wait_until_ready(PATIENCE)
        for ahead in (HOUR, -HOUR):
            camera.detector = ahead
            camera.wait_for(QUEUE + 5)
            camera.detector = 0
            finds_pairs()
        assert "stamps on /instances went ahead in time: starting over" in node.log
        assert "stamps on /image went" not in node.log, "the camera was right all the time"
        for ahead in (HOUR, 0):
            camera.everything = ahead
            camera.wait_for(2)
            finds_pairs()
        node.wait_for_log("stamps on /image went ahead in time: starting over (36", PATIENCE)
        node.wait_for_log("stamps on /image went back in time: starting over (3", PATIENCE)
