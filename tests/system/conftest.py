# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests that run whole processes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

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
def gar(start_process: StartProcess, model_dir: Path) -> GarStarter:
    """`gar(env=None, name=value, ...)` starts a node with `model_dir`, two tiles an image, and these parameters.

    env: on top of this process's.
    """
    return partial(start_gar, start_process, **usual_parameters(model_dir))


@pytest.fixture
def slow_gar(start_process: StartProcess, model_dir: Path) -> GarStarter:
    """As `gar`, with a decoder whose every token takes 10 ms or more."""
    return partial(start_gar, start_process, module="tests.system.slow_gar", **usual_parameters(model_dir))


def usual_parameters(model_dir: Path) -> dict[str, Any]:
    """Of the nodes that tests start, unless they say otherwise."""
    return {"model": model_dir, "request.max_tiles": 1, "runtime.threads": 1}


@pytest.fixture
def ros2(monkeypatch: pytest.MonkeyPatch) -> str:
    """The real command line tools."""
    program = shutil.which("ros2")
    if program is None:
        pytest.skip("the program ros2 (apt: ros-jazzy-ros2cli-common-extensions) is not on PATH")
    monkeypatch.delenv("_ROS_WHEELS_BOOTSTRAP_COMPLETE", raising=False)  # it looks for its own ROS libraries
    return program
