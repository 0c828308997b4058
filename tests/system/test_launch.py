"""gar.launch.py, started for real: arguments become parameters, namespace and topics of a living node."""

from __future__ import annotations

from pathlib import Path

import pytest
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node

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
        "gar_ros", "gar.launch.py", params_file=str(parameters), autostart="false", model=model
    )
    wait_for_state(ros_node, play_launch, launched, "/gar", "unconfigured")
    request = GetParameters.Request(names=["autostart", "request.max_tokens", "model"])
    autostart, max_tokens, chosen_model = call(ros_node, GetParameters, "/gar/get_parameters", request).values
    assert not autostart.bool_value
    assert max_tokens.integer_value == 7
    assert chosen_model.string_value == model


def wait_for_state(node: Node, play_launch: PlayLaunch, launched: ChildProcess, name: str, state: str) -> None:
    """Waits until the lifecycle node `name` is in `state`; fails with its log."""

    def is_there() -> bool:
        response = try_call(node, GetState, f"{name}/get_state", GetState.Request(), timeout=1.0)
        return response is not None and response.current_state.label == state

    try:
        launched.wait_until(is_there, START_SECONDS, f"{name} {state}")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{play_launch.node_log('gar')}") from None
