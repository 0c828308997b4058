# SPDX-License-Identifier: Apache-2.0
"""A GPU that is lost (a stand-in for it): everybody who waits gets one reply, and the process makes way for another."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticStatus

from gar_ros.errors import ErrorCode, GarError
from tests.system.conftest import GarStarter
from tests.system.doctor import Doctor
from tests.system.robot import PATIENCE, Robot, labelled_scene

ASKING = 4


def test_a_lost_gpu_is_told_once_to_all_who_wait_and_ends_the_process(
    robot: Robot, gar: GarStarter, tmp_path: Path
) -> None:
    env = {"GAR_LOSES_GPU": str(tmp_path)}
    node = gar(env=env, module="tests.system.lost_gpu_gar", **{"diagnostics.rate": 2.0})

    def ask(number: int) -> tuple[ErrorCode, str]:
        try:
            robot.client.query(f"What is <Prompt0>, number {number}?", ["1"], max_tokens=2, timeout=PATIENCE)
        except GarError as error:
            return error.code, error.message
        return ErrorCode.OK, ""

    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        assert ask(0)[0] is ErrorCode.OK
        doctor = Doctor(robot)
        (tmp_path / "busy").touch()
        with ThreadPoolExecutor(ASKING) as pool:
            replies = pool.map(ask, range(ASKING))
            doctor.wait_for(DiagnosticStatus.OK, requests_waiting=str(ASKING - 1))
            (tmp_path / "lost").touch()
            status = doctor.wait_for(DiagnosticStatus.ERROR)
    for code, message in replies:
        assert code is ErrorCode.INTERNAL_ERROR
        assert "an illegal memory access was encountered" in message
        assert "this process can't use the GPU any more" in message
    told = "the GPU is lost: ONNX Runtime could not run "
    assert status.message.startswith(told)
    assert node.wait(PATIENCE) == os.EX_TEMPFAIL
    assert node.log.count(told) == node.log.count("an illegal memory access") == 1
    assert "see respawn of gar.launch.py" in node.log
    assert "Traceback" not in node.log
