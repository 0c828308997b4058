# SPDX-License-Identifier: Apache-2.0
"""What `make venv` installs runs from any folder, in an environment that sets nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from lifecycle_msgs.srv import GetState
from rclpy.node import Node

from tests.processes import ChildProcess, StartProcess
from tests.ros import call

PREFIX = Path(sys.prefix)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not (PREFIX / "lib/gar_ros").is_dir():
        pytest.skip("gar_ros is not installed in this environment (make venv)")
    monkeypatch.chdir(tmp_path)


def start_bare(start_process: StartProcess, program: Path, *arguments: str) -> ChildProcess:
    """Starts a program with nothing in its environment but the test's DDS domain."""
    kept = [f"{name}={value}" for name, value in os.environ.items() if name in ("ROS_DOMAIN_ID", "ROS_LOG_DIR")]
    kept.append("ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST")
    return start_process("/usr/bin/env", "-i", *kept, program, *arguments)


def test_the_command_line_program(start_process: StartProcess) -> None:
    for program in (PREFIX / "bin/gar", PREFIX / "lib/gar_ros/gar"):
        helped = start_bare(start_process, program, "--help")
        assert helped.wait(timeout=60) == 0, helped.log
        assert "ask" in helped.log


def test_the_node_speaks_dds_and_leaves_on_ctrl_c(start_process: StartProcess, ros_node: Node) -> None:
    node = start_bare(start_process, PREFIX / "lib/gar_ros/gar_node", "--ros-args", "-p", "autostart:=false")
    state = call(ros_node, GetState, "/gar/get_state", GetState.Request(), timeout=60)
    assert state.current_state.label == "unconfigured"
    assert node.interrupt(timeout=60) == 0, node.log


def test_shared_files(checkout: Path) -> None:
    share = PREFIX / "share/gar_ros"
    for folder in ("config", "launch", "models", "rviz", "security"):
        sources = files_below(checkout, folder)
        assert sources, f"nothing in {folder}/ to install"
        assert files_below(share, folder) == sources


def test_the_interface_of_tf_for_the_simulated_camera() -> None:
    """No wheel of ROS has it: it comes with the package, where nothing else has brought it."""
    from tf2_msgs.msg import TFMessage

    assert TFMessage.get_fields_and_field_types() == {"transforms": "sequence<geometry_msgs/TransformStamped>"}


def files_below(root: Path, folder: str) -> set[Path]:
    """Files of a folder relative to `root`, without what Python leaves behind and without gar-tiny's checkpoint."""
    files = (file.relative_to(root) for file in (root / folder).rglob("*") if file.is_file())
    return {file for file in files if not {"checkpoint", "__pycache__"} & set(file.parts)}
