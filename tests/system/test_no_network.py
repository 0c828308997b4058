# SPDX-License-Identifier: Apache-2.0
"""A node opens no socket but those of DDS, and needs no network but this machine's own."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.processes import StartProcess
from tests.system import offline_gar
from tests.system.conftest import usual_parameters
from tests.system.robot import PATIENCE, Robot, labelled_scene, start_gar

ALONE = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
"""Runs a command where no network exists but the loopback device, so that no library can reach another machine."""


def test_python_code_in_the_node_opens_no_socket(start_process: StartProcess, robot: Robot, model_dir: Path) -> None:
    node = start_gar(start_process, module="tests.system.offline_gar", **usual_parameters(model_dir))
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        assert robot.client.query("What is <Prompt0>?", ["1"], max_tokens=2).region_ids == ["1"]
        assert robot.client.stream("Is <Prompt0> red?", ["1"], choices=["Yes", "No"]).choice >= 0
    assert node.interrupt(timeout=60) == 0, node.log
    assert offline_gar.DENIED not in node.log


def test_the_denial_is_one() -> None:
    """The hook of the test above does what it says."""
    script = (
        "import sys, socket\n"
        "from tests.system.offline_gar import deny_sockets\n"
        "sys.addaudithook(deny_sockets)\n"
        "socket.create_connection(('127.0.0.1', 9))\n"
    )
    denied = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert denied.returncode != 0
    assert offline_gar.DENIED in denied.stderr


def test_the_demo_without_any_network(start_process: StartProcess, tmp_path: Path) -> None:
    """Camera, node and planner, in a network namespace that has a loopback device and nothing else."""
    pytest.importorskip("mujoco", reason="the demo needs the simulator")
    if subprocess.run([*ALONE, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets no user make a network namespace (unshare --map-root-user --net)")
    start = partial(start_process, *ALONE)
    demo = start(sys.executable, "-m", "gar_ros.demo", "--out", tmp_path / "demo_out")
    assert demo.wait(timeout=PATIENCE) == 0, demo.log
    assert "Traceback" not in demo.log
