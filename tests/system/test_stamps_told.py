# SPDX-License-Identifier: Apache-2.0
"""What a real node says of stamps that can't pair, and that it goes on after every jump of the clock."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.headers import stamp_message, stamp_ns
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, labelled_scene, wait_for, wait_until

SECOND = 1_000_000_000
LAG = 9
"""Images that come before the label image of one."""


def test_each_reason_why_nothing_pairs_has_its_own_advice(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"sync.queue_size": 3})
    waiting: deque[Any] = deque()

    def lagging(header: Header) -> list[tuple[str, Any]]:
        image, labels = labelled_scene(header)
        waiting.append(labels)
        return [image, waiting.popleft() if len(waiting) > LAG else waiting[0]]

    with robot.publishing(lagging, period=0.05):
        wait_for(
            robot.client.list_regions,
            ErrorCode.NO_FRAME,
            f"arrives {LAG} images later than its own image, but only 3 images wait",
        )
        wait_for(robot.client.list_regions, ErrorCode.NO_FRAME, "set parameter 'sync.queue_size' to 15 or more")
        assert "'approximate'" not in node.log

    def hours_apart(header: Header) -> list[tuple[str, Any]]:
        before = Header(frame_id="camera", stamp=stamp_message(max(stamp_ns(header.stamp) - 7200 * SECOND, 0)))
        return [labelled_scene(header)[0], labelled_scene(before)[1]]

    with robot.publishing(hours_apart):
        told = wait_for(robot.client.list_regions, ErrorCode.NO_FRAME, "stamps of one clock")
    assert "/instances is 7200 s behind /image; compare use_sim_time" in told


def test_a_simulator_s_clock_may_jump_ahead_and_back(robot: Robot, gar: GarStarter) -> None:
    gar(use_sim_time="true")
    now = 0

    def tick() -> int:
        nonlocal now
        now += SECOND // 10
        return now

    def scene_with_clock(header: Header) -> list[tuple[str, Any]]:
        return [("/clock", Clock(clock=header.stamp)), *labelled_scene(header)]

    def is_answered(start: int) -> bool:
        """Whether the newest image is one from after the jump, and young."""
        try:
            listed = robot.client.list_regions()
        except GarError:
            return False
        return start < stamp_ns(listed.header.stamp) <= now and listed.age.sec in (0, -1) and len(listed.regions) == 2

    with robot.publishing(scene_with_clock, stamps=tick):
        robot.client.wait_until_ready(PATIENCE)
        for start in (5000 * SECOND, 4000 * SECOND, 10**6 * SECOND, 0):
            now = start
            wait_until(partial(is_answered, start))
