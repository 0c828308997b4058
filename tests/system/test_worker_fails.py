# SPDX-License-Identifier: Apache-2.0
"""Whatever the model raises costs one request: its caller is told, and so are log and diagnostics."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile

from gar_ros.errors import ErrorCode
from tests.processes import StartProcess
from tests.system.conftest import usual_parameters
from tests.system.failing_gar import FAILURES
from tests.system.robot import PATIENCE, Mailbox, Robot, labelled_scene, refusal, start_gar, wait_until


def test_every_failure_of_the_model_is_told_and_the_next_request_is_answered(
    robot: Robot, start_process: StartProcess, model_dir: Path
) -> None:
    parameters = {**usual_parameters(model_dir), "diagnostics.rate": 5.0}
    node = start_gar(start_process, module="tests.system.failing_gar", **parameters)
    mailbox = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    status = DiagnosticStatus()

    def model() -> str:
        """What the newest diagnostics say of it."""
        nonlocal status
        status = mailbox.wait().status[0]
        return {pair.key: pair.value for pair in status.values}.get("worker of the model", "")

    def says(name: str) -> bool:
        return model().startswith(name)

    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        for failure in FAILURES:
            name = type(failure).__name__
            code, message = refusal(lambda: robot.client.query("What is <Prompt0>?", ["1"], max_tokens=2))
            assert code is ErrorCode.INTERNAL_ERROR
            assert message.startswith(name) and message.endswith("see the node's log")
            wait_until(partial(says, name))
            assert status.level == DiagnosticStatus.WARN
            assert f"worker of the model: a defect that costs this call only: {name}" in node.log
        assert robot.client.query("What is <Prompt0>?", ["1"], max_tokens=2).region_ids == ["1"]
        wait_until(lambda: model() == "")
    assert node.log.count("Traceback") == len(FAILURES)
