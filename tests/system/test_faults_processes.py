# SPDX-License-Identifier: Apache-2.0
"""Processes that die and lifecycles that turn, as docs/faults.md tells them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lifecycle_msgs.msg import Transition

from tests.processes import StartProcess
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, detected_scene

PLANNER = """
import rclpy
from gar_ros.client import RegionClient
rclpy.init()
client = RegionClient(rclpy.create_node("mortal"))
client.wait_until_ready(100.0)
client.stream("<Prompt0>?", ["left"], lambda _: print("heard", flush=True), max_tokens=1024, timeout=600.0)
"""

EARLY, LATE = 40, 140
"""Numbers of lifecycles between which memory is compared. Pages that are partly in use stay with the allocator: they
grow by some 20 MB in the first forty lifecycles, then by about 10 MB in a hundred."""
WINDOW = 10
"""The least of so many lifecycles counts, since at some moments an image is on its way."""
ASKED_EVERY = 5
MOST_GROWTH = 20 * 2**20
"""Bytes: less than an image (0.2 MB) or a model (31 MB) each time would take."""


def ask(robot: Robot) -> int:
    return int(robot.client.query("<Prompt0>?", ["left"], max_tokens=2, timeout=PATIENCE).generated_tokens)


def test_planners_killed_mid_action_leave_the_model_free(
    robot: Robot, slow_gar: GarStarter, start_process: StartProcess
) -> None:
    node = slow_gar()
    with robot.publishing(detected_scene):
        robot.client.wait_until_ready(PATIENCE)
        planners = [start_process(sys.executable, "-c", PLANNER) for _ in range(2)]
        planners[0].wait_until(lambda: any("heard" in planner.log for planner in planners), PATIENCE, "an answer")
        for planner in planners:  # one is in the middle of its answer, one waits
            planner.kill()
        assert ask(robot) == 2
    assert "Traceback" not in node.log


def test_memory_returns_when_the_lifecycle_turns(robot: Robot, gar: GarStarter) -> None:
    node = gar(autostart="false")
    robot.wait_for_state("unconfigured")
    resident: list[int] = []
    with robot.publishing(detected_scene):
        for number in range(1, LATE + 1):
            assert robot.transition(Transition.TRANSITION_CONFIGURE)
            assert robot.transition(Transition.TRANSITION_ACTIVATE)
            if number % ASKED_EVERY == 0:
                robot.client.wait_until_ready(PATIENCE)
                assert ask(robot) == 2
            assert robot.transition(Transition.TRANSITION_DEACTIVATE)
            assert robot.transition(Transition.TRANSITION_CLEANUP)
            resident.append(resident_bytes(node.pid))
    early, late = (min(resident[number - WINDOW : number]) for number in (EARLY, LATE))
    assert late - early < MOST_GROWTH, resident
    assert "Traceback" not in node.log


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
