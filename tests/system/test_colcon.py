# SPDX-License-Identifier: Apache-2.0
"""The package as a robot builds it: `colcon build` beside a venv, then the installed executables from any folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from lifecycle_msgs.srv import GetState
from rclpy.node import Node

from tests.processes import ChildProcess, StartProcess, process_starter
from tests.ros import call
from tests.system.colcon import build_environment, colcon_program, prepended, without_network

BUILD_SECONDS = 600.0

Colcon = Callable[..., ChildProcess]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of everything that colcon writes; built once."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="module")
def robot_venv(workspace: Path) -> Path:
    """A venv whose interpreter is not the one that colcon and CMake use."""
    python = workspace / "robot_venv/bin/python3"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return workspace / "robot_venv"


@pytest.fixture(scope="module")
def colcon(workspace: Path, checkout: Path, robot_venv: Path) -> Iterator[Colcon]:
    """`colcon(verb, *arguments)` runs one of its verbs on the checkout while `robot_venv` is active."""
    program = colcon_program()
    bases = {name: f"--{name}-base={workspace / name}" for name in ("build", "install")}
    given = {
        "build": [f"--paths={checkout}", *bases.values(), "--symlink-install"],
        "test": [f"--paths={checkout}", *bases.values()],
        "test-result": [f"--test-result-base={workspace / 'build'}"],
    }
    environment = {**build_environment(workspace), "VIRTUAL_ENV": str(robot_venv)}

    with process_starter(workspace) as start_process:

        def run(verb: str, *arguments: str, env: Mapping[str, str] | None = None) -> ChildProcess:
            command = [program, f"--log-base={workspace / 'log'}", verb, *given[verb], *arguments]
            if verb == "build":
                command = [*without_network(), *command]
            child = start_process(*command, env={**environment, **(env or {})})
            child.wait(BUILD_SECONDS)
            return child

        yield run


@pytest.fixture(scope="module")
def install(workspace: Path, checkout: Path, colcon: Colcon) -> Path:
    """The install space of the checkout's package."""
    build = colcon(
        "build",
        "--cmake-args",
        f"-DCMAKE_PROJECT_INCLUDE={checkout / 'cmake/pip_wheels.cmake'}",
        f"-DPython3_EXECUTABLE={sys.executable}",
    )
    assert build.wait(0) == 0, build.log
    return workspace / "install/gar_ros"


def test_the_package_is_built_without_a_network(install: Path, start_process: StartProcess) -> None:
    """As on the machines that build packages for apt, which have none."""
    if not without_network():
        pytest.skip("built with the network: this system doesn't permit `unshare --map-root-user --net`")
    assert list(install.glob("lib/libgar_ros__rosidl_*.so"))
    connect = "import socket; socket.create_connection(('127.0.0.1', 9))"
    reach = start_process(*without_network(), sys.executable, "-c", connect)
    assert reach.wait(timeout=60) == 1
    assert "Network is unreachable" in reach.log  # where there is one, the connection is refused


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


def test_the_tests_of_a_robot_run_and_their_failures_count(install: Path, colcon: Colcon, tmp_path: Path) -> None:
    """All rooms but the engine's, which takes minutes where its golden data is."""
    tests = colcon("test", "--return-code-on-test-failure", "--ctest-args", "-E", "engine")
    assert tests.wait(0) == 0, tests.log
    result = colcon("test-result", "--all")
    assert result.wait(0) == 0, result.log
    (summary,) = re.findall(r"Summary: (\d+) tests, (\d+) errors, (\d+) failures, \d+ skipped", result.log)
    count, errors, failures = map(int, summary)
    assert count > 100
    assert errors == failures == 0
    for room in ("memory", "messages", "node", "planning", "serving", "settings"):
        assert f"/{room}.xunit.xml: " in result.log

    (tmp_path / "spoiler.py").write_text("def pytest_runtest_call(item):\n    assert False, 'as the test wants'\n")
    spoilt = {"PYTEST_ADDOPTS": "-p spoiler", "PYTHONPATH": prepended(tmp_path, "PYTHONPATH")}
    colcon("test", "--ctest-args", "-R", "planning", env=spoilt)
    result = colcon("test-result", "--verbose")
    assert result.wait(0) == 1
    assert "as the test wants" in result.log
