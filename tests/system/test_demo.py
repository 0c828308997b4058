# SPDX-License-Identifier: Apache-2.0
"""`python -m gar_ros.demo` as a user starts it, and what goes wrong on the way."""

from __future__ import annotations

import os
import re
import signal
import sys
from pathlib import Path

import cv2
import pytest

from gar_ros.demo import __main__ as demo
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.errors import GarError
from tests.fixtures_export import golden_model_dir  # noqa: F401, a fixture
from tests.processes import ChildProcess, StartProcess, session_members

TIMEOUT = 180.0
ENDLESS = 100_000


@pytest.fixture(scope="session")
def model(request: pytest.FixtureRequest) -> Path:
    """The shipped model; a checkout that has none yet uses the golden one."""
    try:
        return default_model_dir()
    except GarError:
        golden: Path = request.getfixturevalue("golden_model_dir")
        return golden


def start_demo(
    start_process: StartProcess, model: Path, out: Path, domain: int, *, questions: int, gui: bool = False
) -> ChildProcess:
    options = ["--model", model, "--out", out, "--domain", domain, "--questions", questions, "--timeout", TIMEOUT]
    options += ["--required", 0.5]  # nine in ten of a few would be luck
    return start_process(
        sys.executable, "-m", "gar_ros.demo", *map(str, options), env={"DEMO_GUI": "1" if gui else "0"}
    )


def pid_of(parent: ChildProcess, module: str) -> int:
    """Process of the demo that runs a module."""
    members = session_members(parent.pid)
    (pid,) = [pid for pid in members if f"gar_ros.{module}" in Path(f"/proc/{pid}/cmdline").read_text()]
    return pid


def answers(child: ChildProcess) -> list[str]:
    return re.findall(r"^\[planner\] +\d+ .*(?:right|wrong) +\d+ ms$", child.log, re.MULTILINE)


def test_the_demo_asks_prints_draws_and_leaves_nothing_behind(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    child = start_demo(start_process, model, tmp_path / "out", ros_domain, questions=6)
    assert child.wait(TIMEOUT) == 0, child.log
    assert not session_members(child.pid)
    assert len(answers(child)) == 6
    assert re.search(r"description of region \d+: .*; truth: 'a ", child.log)
    picture = cv2.imread(str(tmp_path / "out/overlay.png"))
    assert picture is not None and picture.shape == (480, 640, 3)
    assert str(tmp_path / "out/overlay.png") in child.log
    assert {"camera.log", "gar.log", "planner.log"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_with_gui_it_stays_until_ctrl_c(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    child = start_demo(start_process, model, tmp_path, ros_domain, questions=1, gui=True)
    child.wait_for_log("rviz2 -d", TIMEOUT)
    rviz = re.search(r"ROS_DOMAIN_ID=(\d+) .*rviz2 -d (\S+)", child.log)
    assert rviz and int(rviz[1]) == ros_domain and Path(rviz[2]).is_file()
    assert pid_of(child, "demo.tabletop_camera") and pid_of(child, "node.gar_node")
    assert child.interrupt(TIMEOUT) == 0, child.log
    assert not session_members(child.pid)


def test_ctrl_c_in_the_middle_ends_all_processes(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    child = start_demo(start_process, model, tmp_path, ros_domain, questions=ENDLESS)
    child.wait_until(lambda: bool(answers(child)), TIMEOUT, "an answer")
    assert child.interrupt(TIMEOUT) == demo.INTERRUPTED
    assert "interrupted" in child.log and "killed" not in child.log and "Traceback" not in child.log
    assert not session_members(child.pid)


def test_when_the_camera_dies_the_service_says_that_the_image_is_stale(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    child = start_demo(start_process, model, tmp_path, ros_domain, questions=ENDLESS)
    child.wait_until(lambda: bool(answers(child)), TIMEOUT, "an answer")
    os.kill(pid_of(child, "demo.tabletop_camera"), signal.SIGKILL)
    child.wait_for_log("STALE_FRAME: the newest image with regions is", TIMEOUT)
    assert "camera ended unexpectedly with exit code -9" in child.log
    child.interrupt(TIMEOUT)
    assert not session_members(child.pid)


def test_when_the_gar_node_dies_the_demo_shows_its_log_and_fails(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    child = start_demo(start_process, model, tmp_path, ros_domain, questions=ENDLESS)
    child.wait_until(lambda: bool(answers(child)), TIMEOUT, "an answer")
    os.kill(pid_of(child, "node.gar_node"), signal.SIGKILL)
    assert child.wait(TIMEOUT) == 1
    assert "gar ended unexpectedly with exit code -9" in child.log
    assert not session_members(child.pid)


def test_a_model_that_cannot_be_used_is_named_and_fails(
    start_process: StartProcess, tmp_path: Path, ros_domain: int
) -> None:
    child = start_demo(start_process, tmp_path / "nowhere", tmp_path / "out", ros_domain, questions=1)
    child.wait_for_log("can't configure", TIMEOUT)
    assert str(tmp_path / "nowhere") in child.log
    assert child.interrupt(TIMEOUT) != 0
    assert not session_members(child.pid)


def test_parameters_are_written_as_ros_reads_them() -> None:
    arguments = demo.ros_arguments({"seed": 7, "required": 0.5, "overlay": "/a b: c.png"})
    assert arguments == ["--ros-args", "-p", "seed:=7", "-p", "required:=0.5", "-p", 'overlay:="/a b: c.png"']


def test_the_children_stay_on_this_machine_and_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_LOCALHOST_ONLY", "0")
    environment = demo.demo_environment(42, tmp_path)
    assert environment["ROS_DOMAIN_ID"] == "42"
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_LOCALHOST_ONLY" not in environment
    assert Path(environment["FASTRTPS_DEFAULT_PROFILES_FILE"]).name == "fastdds_shm.xml"
