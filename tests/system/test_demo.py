# SPDX-License-Identifier: Apache-2.0
"""`python -m gar_ros.demo` as a user starts it, and what goes wrong on the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import PIL.Image
import PIL.ImageSequence
import pytest

from gar_ros.demo import __main__ as demo
from gar_ros.demo.processes import INTERRUPTED
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.sim.scene import COLOURS
from tests.processes import ChildProcess, StartProcess, session_members

TIMEOUT = 180.0
ENDLESS = 100_000
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


@pytest.fixture
def model() -> Path:
    """The shipped one."""
    return default_model_dir()


def start_demo(
    start_process: StartProcess,
    model: Path,
    out: Path,
    domain: int,
    *,
    questions: int,
    gui: bool = False,
    film: Path | None = None,
) -> ChildProcess:
    options = ["--model", model, "--out", out, "--domain", domain, "--questions", questions, "--timeout", TIMEOUT]
    options += ["--required", 0.5]  # nine in ten of a few would be luck
    options += [] if film is None else ["--film", film]
    return start_process(
        sys.executable, "-m", "gar_ros.demo", *map(str, options), env={"DEMO_GUI": "1" if gui else "0"}
    )


def pid_of(parent: ChildProcess, module: str) -> int:
    """Process of the demo that runs a module."""
    members = session_members(parent.pid)
    (pid,) = [pid for pid in members if f"gar_ros.{module}" in Path(f"/proc/{pid}/cmdline").read_text()]
    return pid


def answers(child: ChildProcess) -> list[str]:
    return re.findall(r"^\[planner\] (?:right|wrong) +(?:Is|Wh).* (?:\d+ ms|[\d.]+ s)$", child.log, re.MULTILINE)


def chapters(child: ChildProcess) -> list[str]:
    """Their titles."""
    return re.findall(r"^\[planner\] (\d\. .*)$", child.log, re.MULTILINE)


def test_the_demo_asks_prints_draws_films_and_leaves_nothing_behind(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    out, film = tmp_path / "out", tmp_path / "film.gif"
    child = start_demo(start_process, model, out, ros_domain, questions=16, film=film)
    assert child.wait(TIMEOUT) == 0, child.log
    assert not session_members(child.pid)
    assert len(answers(child)) == 16
    assert [title[0] for title in chapters(child)] == ["1", "2", "3", "4", "5", "6", "7"]
    for line in (
        r"So these can be picked",
        r"Describe \d+\. .* a ",
        r'Find "the \w+ \w+" ',
        r"\d+ inside \d+ +true",
        r"Pick order +\d+ \d+ ",
    ):
        assert re.search(rf"^\[planner\] (right|wrong) +{line}", child.log, re.MULTILINE), line
    assert re.search(r"Score: \d+ of 16 questions right \(50% required\), 0 calls failed", child.log)
    assert "  event: right" in child.log
    told = [line for line in child.log.splitlines() if line.startswith("[planner]") and "RTPS" not in line]  # not DDS's
    assert max(map(len, told)) <= 100 and "\x1b" not in "".join(told)
    picture = cv2.imread(str(out / "overlay.png"))
    assert picture is not None and picture.shape == (480, 640, 3)
    assert str(out / "overlay.png") in child.log and str(film) in child.log
    with PIL.Image.open(film) as frames:
        assert len(list(PIL.ImageSequence.Iterator(frames))) > 20
    assert {"camera.log", "gar.log", "planner.log"} <= {path.name for path in out.iterdir()}


def test_the_command_that_it_ends_with_works_as_printed(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int, checkout: Path
) -> None:
    """It asks about one of the demo's regions; the answer was compared with the simulator's where the demo asked it."""
    child = start_demo(start_process, model, tmp_path, ros_domain, questions=1)
    assert child.wait(TIMEOUT) == 0, child.log
    (command,) = re.findall(r"^\[demo   \] +(.* ask .*)$", child.log, re.MULTILINE)
    asked = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=Path.cwd(), check=False)  # noqa: S602
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.split()[0] in COLOURS
    assert "make test" in child.log and "DEMO_GUI=1 make demo" in child.log


def test_a_terminal_shows_colours_and_the_log_stays_plain(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    options = ["--model", model, "--out", tmp_path, "--domain", ros_domain, "--questions", 2, "--timeout", TIMEOUT]
    in_terminal = "import pty, sys; pty.spawn(sys.argv[1:])"
    command = [sys.executable, "-c", in_terminal, sys.executable, "-m", "gar_ros.demo", *map(str, options)]
    child = start_process(*command, env={"TERM": "xterm", "NO_COLOR": ""})
    child.wait_for_log("Score:", TIMEOUT)
    child.wait(TIMEOUT)
    assert "\x1b[32mright\x1b[0m" in child.log
    assert "\x1b[32m" not in (tmp_path / "planner.log").read_text()


def test_with_gui_it_stays_until_ctrl_c(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    child = start_demo(start_process, model, tmp_path, ros_domain, questions=1, gui=True)
    child.wait_for_log("rviz2 -d", TIMEOUT)
    rviz = re.search(r"ROS_DOMAIN_ID=(\d+) .*rviz2 -d (\S+)", child.log)
    assert rviz and int(rviz[1]) == ros_domain and Path(rviz[2]).is_file()
    child.wait_for_log("clear_table.py", TIMEOUT)
    (command,) = re.findall(r"^\[demo   \] +(.*clear_table\.py.*)$", child.log, re.MULTILINE)
    cleared = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert ". pick region 1\n" in cleared.stdout, cleared.stderr
    assert pid_of(child, "demo.tabletop_camera") and pid_of(child, "node.gar_node")
    assert child.interrupt(TIMEOUT) == 0, child.log
    assert not session_members(child.pid)


def test_ctrl_c_in_the_middle_ends_all_processes(
    start_process: StartProcess, model: Path, tmp_path: Path, ros_domain: int
) -> None:
    child = start_demo(start_process, model, tmp_path, ros_domain, questions=ENDLESS)
    child.wait_until(lambda: bool(answers(child)), TIMEOUT, "an answer")
    assert child.interrupt(TIMEOUT) == INTERRUPTED
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
    for name in PROFILES:
        monkeypatch.delenv(name, raising=False)
    environment = demo.demo_environment(42, tmp_path)
    assert environment["ROS_DOMAIN_ID"] == "42"
    assert environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_LOCALHOST_ONLY" not in environment
    profiles = [environment[name] for name in PROFILES if name in environment]
    assert [Path(name).name for name in profiles] == ["fastdds_shm.xml"]
