# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that run whole processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from rclpy.node import Node

from tests.processes import ChildProcess, StartProcess
from tests.system.robot import Robot, start_gar

GarStarter = Callable[..., ChildProcess]


@pytest.fixture(autouse=True)
def own_domain(ros_domain: int) -> None:
    """No process of these tests hears another test's camera, or a robot's in the same network."""


@pytest.fixture
def robot(ros_node: Node) -> Iterator[Robot]:
    """Everything around the `gar` node."""
    robot = Robot(ros_node)
    yield robot
    robot.close()


@pytest.fixture
def gar(start_process: StartProcess, golden_model_dir: Path) -> GarStarter:
    """`gar(env=None, name=value, ...)` starts a node with the golden random model, two tiles an image, and these
    parameters; env: on top of this process's."""

    def start(env: Mapping[str, str] | None = None, **parameters: object) -> ChildProcess:
        given = {"model": golden_model_dir, "request.max_tiles": 1, "runtime.threads": 1, **parameters}
        return start_gar(start_process, env, **given)

    return start


@pytest.fixture
def ros2(monkeypatch: pytest.MonkeyPatch) -> str:
    """The real command line tools."""
    program = shutil.which("ros2")
    if program is None:
        pytest.skip("the program ros2 (apt: ros-jazzy-ros2cli-common-extensions) is not on PATH")
    monkeypatch.delenv("_ROS_WHEELS_BOOTSTRAP_COMPLETE", raising=False)  # it looks for its own ROS libraries
    return program
