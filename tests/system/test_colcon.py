"""The package as a robot builds it: `colcon build` beside a venv, then the installed executables from any folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lifecycle_msgs.srv import GetState
from rclpy.node import Node

from tests.processes import StartProcess
from tests.ros import call
from tests.system.colcon import build_environment, colcon_program, prepended

BUILD_SECONDS = 600.0


@pytest.fixture
def robot_venv(tmp_path: Path) -> Path:
    """A venv whose interpreter is not the one that colcon and CMake use."""
    python = tmp_path / "robot_venv/bin/python3"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return tmp_path / "robot_venv"


@pytest.fixture
def install(tmp_path: Path, checkout: Path, robot_venv: Path, start_process: StartProcess) -> Path:
    """The install space of the checkout's package, built while `robot_venv` is active."""
    build = start_process(
        colcon_program(),
        f"--log-base={tmp_path / 'log'}",
        "build",
        f"--paths={checkout}",
        f"--build-base={tmp_path / 'build'}",
        f"--install-base={tmp_path / 'install'}",
        "--symlink-install",
        "--cmake-args",
        f"-DCMAKE_PROJECT_INCLUDE={checkout / 'cmake/pip_wheels.cmake'}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DBUILD_TESTING=OFF",
        env={**build_environment(tmp_path), "VIRTUAL_ENV": str(robot_venv)},
    )
    assert build.wait(BUILD_SECONDS) == 0, build.log
    return tmp_path / "install/gar_ros"


def test_installed_executables_run_in_the_active_venv(
    install: Path, robot_venv: Path, start_process: StartProcess, ros_node: Node, tmp_path: Path
) -> None:
    programs = {program.name: program for program in (install / "lib/gar_ros").iterdir()}
    assert sorted(programs) == ["demo_planner", "gar", "gar_node", "tabletop_camera"]
    for program in programs.values():
        assert program.read_text().splitlines()[0] == f"#!{robot_venv / 'bin/python3'}"

    (packages,) = install.glob("lib/python*/site-packages")
    sourced = {  # what install/setup.bash sets
        "AMENT_PREFIX_PATH": f"{install}:{prepended(sys.prefix, 'AMENT_PREFIX_PATH')}",
        "LD_LIBRARY_PATH": prepended(install / "lib", "LD_LIBRARY_PATH"),
        "PYTHONPATH": prepended(packages, "PYTHONPATH"),
    }
    script = tmp_path / "where.py"
    script.write_text("import gar_ros.errors, gar_export.config as c; print(gar_ros.errors.__file__, c.__file__)")
    where = start_process(sys.executable, script, env=sourced)
    assert where.wait(timeout=60) == 0, where.log
    assert where.log.split() == [str(packages / "gar_ros/errors.py"), str(packages / "gar_export/config.py")]

    helped = start_process(programs["gar"], "--help", env=sourced)
    assert helped.wait(timeout=60) == 0, helped.log
    node = start_process(programs["gar_node"], "--ros-args", "-p", "autostart:=false", env=sourced)
    state = call(ros_node, GetState, "/gar/get_state", GetState.Request(), timeout=60)
    assert state.current_state.label == "unconfigured"
    assert node.interrupt(timeout=60) == 0, node.log
