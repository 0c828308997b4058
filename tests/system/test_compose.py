# SPDX-License-Identifier: Apache-2.0
"""The scene of docker/compose.yaml: its very commands and settings, as processes on this machine instead of containers.

What the containers' programs are called is translated: those of the image are this checkout's modules, and play_launch
stands for `ros2 launch`. Network and memory are this machine's, as the file asks for.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.processes import ChildProcess, StartProcess
from tests.system.play_launch import PlayLaunch

SECONDS = 180.0
INSTALLED = "/ws/install/gar_ros/"
FEW = ["-p", "questions:=4", "-p", "required:=0.5"]
"""What the test adds to the planner's command: nine in ten of a few questions would be luck."""


@pytest.fixture
def services(checkout: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((checkout / "docker/compose.yaml").read_text())["services"]
    return found


@pytest.fixture
def environment(services: dict[str, dict[str, Any]], checkout: Path) -> dict[str, str]:
    """What all services have, without what the caller of compose sets."""
    shared: dict[str, str] = services["gar"]["environment"]
    given = {name: value for name, value in shared.items() if not value.startswith("${")}
    return {name: value.replace(f"{INSTALLED}share/gar_ros", str(checkout)) for name, value in given.items()}


def module(program: str, checkout: Path) -> str:
    """The Python module of an installed program, by CMakeLists.txt."""
    name = program.removeprefix(f"{INSTALLED}lib/gar_ros/")
    (found,) = re.findall(rf"^    {name}=([\w.]+)", (checkout / "CMakeLists.txt").read_text(), re.MULTILINE)
    return str(found)


def healthy(checkout: Path, start_process: StartProcess, environment: dict[str, str]) -> bool:
    check: ChildProcess = start_process(sys.executable, checkout / "docker/healthcheck.py", env=environment)
    return check.wait(SECONDS) == 0


@pytest.mark.usefixtures("ros_domain")
def test_the_planner_asks_and_is_answered(
    services: dict[str, dict[str, Any]],
    environment: dict[str, str],
    checkout: Path,
    start_process: StartProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():  # play_launch takes this process's
        monkeypatch.setenv(name, value)
    launch, *_, package, file, image = services["gar"]["command"][1:]
    assert launch == "launch"
    image_argument, _, topic = image.partition(":=")
    gar = PlayLaunch(tmp_path, start_process).launch(package, file, **{image_argument: topic})
    program, *arguments = services["camera"]["command"]
    camera = start_process(sys.executable, "-m", module(program, checkout), *arguments)
    gar.wait_until(lambda: healthy(checkout, start_process, environment), SECONDS, "the node is healthy")

    program, *arguments = services["planner"]["command"]
    planner = start_process(sys.executable, "-m", module(program, checkout), *arguments, *FEW)
    assert planner.wait(SECONDS) == 0, planner.log + gar.log
    assert len(re.findall(r"^(?:right|wrong) +(?:Is|Wh).* (?:\d+ ms|[\d.]+ s)$", planner.log, re.MULTILINE)) == 4
    assert camera.interrupt(SECONDS) == 0, camera.log
    assert gar.interrupt(SECONDS) == 0, gar.log
