# SPDX-License-Identifier: Apache-2.0
"""/diagnostics of a running node, in every state."""

from __future__ import annotations

from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition

from gar_ros.errors import ErrorCode
from tests.system.conftest import GarStarter
from tests.system.doctor import Doctor
from tests.system.robot import PATIENCE, Robot, labelled_scene, refusal


def test_a_node_tells_its_state_from_start_to_cleanup(robot: Robot, gar: GarStarter) -> None:
    gar(**{"autostart": "false", "diagnostics.rate": 5.0})
    doctor = Doctor(robot)
    status = doctor.wait_for(DiagnosticStatus.OK, lifecycle_state="unconfigured")
    assert status.name == "gar: region questions"
    robot.wait_for_state("unconfigured")
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    status = doctor.wait_for(DiagnosticStatus.OK, lifecycle_state="inactive", provider="cpu")
    assert int({pair.key: pair.value for pair in status.values}["memory of the process (MiB)"]) > 10
    assert robot.transition(Transition.TRANSITION_ACTIVATE)
    status = doctor.wait_for(DiagnosticStatus.WARN, lifecycle_state="active")
    assert status.message == "no images with regions: nobody publishes /image"
    with robot.publishing(labelled_scene):
        doctor.wait_for(DiagnosticStatus.OK, lifecycle_state="active")
        robot.client.wait_until_ready(PATIENCE)
        assert refusal(lambda: robot.client.query("What is <Prompt0>?", ["99"]))[0] is ErrorCode.UNKNOWN_REGION
        robot.client.query("What is <Prompt0>?", ["1"], max_tokens=1)
        status = doctor.wait_for(DiagnosticStatus.OK, requests_answered="1")
        found = {pair.key: pair.value for pair in status.values}
        assert found["requests refused: UNKNOWN_REGION"] == "1"
        assert float(found["latency p95 (s)"]) >= float(found["latency p50 (s)"]) > 0
    assert robot.transition(Transition.TRANSITION_DEACTIVATE)
    doctor.wait_for(DiagnosticStatus.OK, lifecycle_state="inactive")
    assert robot.transition(Transition.TRANSITION_CLEANUP)
    doctor.wait_for(DiagnosticStatus.OK, lifecycle_state="unconfigured")


def test_a_model_that_can_not_be_loaded_is_an_error(robot: Robot, gar: GarStarter, tmp_path: Path) -> None:
    gar(**{"model": tmp_path / "nowhere", "diagnostics.rate": 5.0})
    status = Doctor(robot).wait_for(DiagnosticStatus.ERROR, lifecycle_state="unconfigured")
    assert "can't configure" in status.message and "nowhere" in status.message
