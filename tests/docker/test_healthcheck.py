# SPDX-License-Identifier: Apache-2.0
"""docker/healthcheck.py asks a real node over DDS."""

from __future__ import annotations

import sys
from pathlib import Path

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.node import Node

from tests.processes import ChildProcess, StartProcess
from tests.ros import call

SECONDS = 60.0


def start_check(checkout: Path, start_process: StartProcess) -> ChildProcess:
    return start_process(sys.executable, checkout / "docker/healthcheck.py", env={"GAR_NODE": "/robot/gar"})


def test_only_an_active_node_is_healthy(checkout: Path, start_process: StartProcess, ros_node: Node) -> None:
    arguments = ["--ros-args", "-r", "__ns:=/robot", "-p", "autostart:=false"]
    start_process(sys.executable, "-m", "gar_ros.node.gar_node", *arguments)
    call(ros_node, GetState, "/robot/gar/get_state", GetState.Request(), timeout=SECONDS)
    before = start_check(checkout, start_process)
    assert before.wait(SECONDS) == 1
    assert before.log == "/robot/gar: unconfigured\n"

    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert call(ros_node, ChangeState, "/robot/gar/change_state", request, timeout=SECONDS).success
    after = start_check(checkout, start_process)
    assert after.wait(SECONDS) == 0, after.log
    assert after.log == "/robot/gar: active\n"


def test_where_nobody_replies_it_says_what_to_look_at(
    checkout: Path, start_process: StartProcess, ros_domain: int
) -> None:
    check = start_check(checkout, start_process)
    assert check.wait(SECONDS) == 1
    assert "/robot/gar: expected a reply to get_state within 10 s" in check.log
    assert "ROS_DOMAIN_ID" in check.log
