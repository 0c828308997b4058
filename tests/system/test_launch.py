# SPDX-License-Identifier: Apache-2.0
"""gar.launch.py, started for real: arguments become parameters, namespace and topics of a living node."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from gar_ros.errors import ErrorCode
from gar_ros.srv import ListRegions
from tests.processes import ChildProcess, StartProcess, session_members
from tests.ros import call, try_call
from tests.system.play_launch import PlayLaunch

START_SECONDS = 60.0


@pytest.fixture
def play_launch(tmp_path: Path, start_process: StartProcess) -> PlayLaunch:
    return PlayLaunch(tmp_path, start_process)


def test_one_command_gives_a_serving_node_in_its_namespace(ros_node: Node, play_launch: PlayLaunch) -> None:
    launched = play_launch.launch("gar_ros", "gar.launch.py", namespace="robot", image="/front/image_raw")
    wait_for_state(ros_node, play_launch, launched, "/robot/gar", "active")
    assert ros_node.count_subscribers("/front/image_raw") == 1
    assert ros_node.count_subscribers("/robot/regions") == 1
    response = call(ros_node, ListRegions, "/robot/gar/list_regions", ListRegions.Request())
    assert response.error_code == ErrorCode.NO_FRAME

    assert launched.interrupt(timeout=START_SECONDS) == 0
    assert session_members(launched.pid) == []


def test_arguments_win_over_the_parameter_file(ros_node: Node, play_launch: PlayLaunch, tmp_path: Path) -> None:
    parameters = tmp_path / "robot.yaml"
    parameters.write_text("/**: {ros__parameters: {autostart: true, request: {max_tokens: 7}}}\n")
    model = str(tmp_path / "no_model")
    launched = play_launch.launch(
        "gar_ros",
        "gar.launch.py",
        params_file=str(parameters),
        autostart="false",
        model=model,
        provider="cpu",
        use_sim_time="True",
    )
    wait_for_state(ros_node, play_launch, launched, "/gar", "unconfigured")
    names = ["autostart", "request.max_tokens", "model", "runtime.provider", "use_sim_time"]
    request = GetParameters.Request(names=names)
    values = [
        parameter_value_to_python(v) for v in call(ros_node, GetParameters, "/gar/get_parameters", request).values
    ]
    assert values == [False, 7, model, "cpu", True]


def test_each_of_several_cameras_has_its_topics_and_services(ros_node: Node, play_launch: PlayLaunch) -> None:
    launched = play_launch.launch("gar_ros", "gar.launch.py", cameras="front,wrist", image="/{camera}/image_raw")
    wait_for_state(ros_node, play_launch, launched, "/gar", "active")
    topics = ("/front/image_raw", "/wrist/image_raw", "/front/instances", "/wrist/instances", "/image")
    assert [ros_node.count_subscribers(topic) for topic in topics] == [1, 1, 1, 1, 0]
    for camera in ("front", "wrist"):
        response = call(ros_node, ListRegions, f"/gar/{camera}/list_regions", ListRegions.Request())
        assert response.error_code == ErrorCode.NO_FRAME
        assert f"/{camera}/image_raw" in response.error_msg


def test_cameras_can_t_all_read_the_same_topic(play_launch: PlayLaunch) -> None:
    launched = play_launch.launch("gar_ros", "gar.launch.py", cameras="front,wrist", image="/camera/image_raw")
    assert launched.wait(START_SECONDS) != 0
    assert "image:=/camera/image_raw: expected a topic of each camera: write {camera}" in launched.log


def start_launch(ros2: str, start_process: StartProcess, *arguments: str) -> ChildProcess:
    """The real `ros2 launch`."""
    return start_process(ros2, "launch", "gar_ros", "gar.launch.py", *arguments)


@pytest.mark.parametrize("argument", ["autostart", "use_sim_time", "respawn", "log_level"])
def test_a_value_that_is_no_choice_is_refused(ros2: str, start_process: StartProcess, argument: str) -> None:
    launched = start_launch(ros2, start_process, f"{argument}:=banana")
    assert launched.wait(START_SECONDS) != 0
    assert f'Argument "{argument}" provided value "banana" is not valid' in launched.log


def test_the_log_level_is_that_of_the_node_in_its_namespace(
    ros2: str, start_process: StartProcess, ros_domain: int
) -> None:
    launched = start_launch(ros2, start_process, "namespace:=robot/arm", "log_level:=error", "autostart:=false")
    launched.wait_for_log("process started", START_SECONDS)
    debugged = start_launch(ros2, start_process, "namespace:=robot/arm", "log_level:=debug")
    debugged.wait_for_log("[robot.arm.gar]: activate: done", START_SECONDS)
    assert launched.interrupt(START_SECONDS) == 0
    assert "[robot.arm.gar]" not in launched.log


def test_a_node_that_ends_is_started_again_if_wanted(ros2: str, start_process: StartProcess, ros_domain: int) -> None:
    launched = start_launch(ros2, start_process, "respawn:=true", "autostart:=false")
    launched.wait_for_log("process started with pid", START_SECONDS)
    (first,) = pids(launched)
    os.kill(first, signal.SIGKILL)
    launched.wait_until(lambda: len(pids(launched)) == 2, START_SECONDS, "the node started again")
    assert launched.interrupt(START_SECONDS) == 0


def pids(launched: ChildProcess) -> list[int]:
    """Process ids of the nodes that were started so far."""
    return [int(pid) for pid in re.findall(r"process started with pid \[(\d+)\]", launched.log)]


def wait_for_state(node: Node, play_launch: PlayLaunch, launched: ChildProcess, name: str, state: str) -> None:
    """Waits until the lifecycle node `name` is in `state`; fails with its log."""

    def is_there() -> bool:
        response = try_call(node, GetState, f"{name}/get_state", GetState.Request(), timeout=1.0)
        return response is not None and response.current_state.label == state

    try:
        launched.wait_until(is_there, START_SECONDS, f"{name} {state}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{play_launch.node_log('gar')}") from None
