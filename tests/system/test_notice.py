# SPDX-License-Identifier: Apache-2.0
"""What a model's users must know is said once, as a warning, and stays in the diagnostics."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile

from tests.processes import StartProcess
from tests.system.robot import Mailbox, Robot, start_gar, wait_until

NOTICE = "gar-tiny knows the simulated tabletop only"


def test_gar_tiny_says_once_what_it_is_good_for(robot: Robot, start_process: StartProcess) -> None:
    parameters: dict[str, object] = {"autostart": "false", "diagnostics.rate": 5.0}
    node = start_gar(start_process, None, "gar_ros.node.gar_node", **parameters)
    robot.wait_for_state("unconfigured")
    assert NOTICE not in node.log
    for transition in (
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
    ):
        assert robot.transition(transition)
    assert [NOTICE in line and "[WARN]" in line for line in node.log.splitlines()].count(True) == 1
    assert node.log.count(NOTICE) == 1

    mailbox = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))

    def told() -> bool:
        (status,) = mailbox.wait().status
        return any(pair.key == "about the model" and pair.value.startswith(NOTICE) for pair in status.values)

    wait_until(told)
    assert node.interrupt(timeout=60) == 0, node.log
