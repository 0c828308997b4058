# SPDX-License-Identifier: Apache-2.0
"""The node as a managed node: transitions, parameters, bad models, and leaving politely."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from rclpy.duration import Duration
from rclpy.qos import QoSProfile

from gar_ros.errors import ErrorCode, GarError
from tests.processes import ChildProcess
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labelled_scene, refusal, wait_for, wait_until


def ask(robot: Robot, max_tokens: int = 1, timeout: float = PATIENCE) -> Any:
    return robot.client.query("What is <Prompt0>?", ["1"], max_tokens=max_tokens, timeout=timeout)


def ask_at_length(robot: Robot, planners: ThreadPoolExecutor, count: int) -> list[Future[Any]]:
    """Requests that keep the model busy, the first of them being worked on."""
    calls = [planners.submit(ask, robot, 1024) for _ in range(count)]
    wait_for(lambda: ask(robot, timeout=0.2), ErrorCode.TIMED_OUT)
    return calls


def codes_of(calls: list[Future[Any]]) -> list[ErrorCode]:
    errors = [call.exception(PATIENCE) for call in calls]
    return [error.code for error in errors if isinstance(error, GarError)]


def test_a_managed_node_serves_only_while_active(robot: Robot, gar: GarStarter) -> None:
    gar(autostart="false")
    robot.wait_for_state("unconfigured")
    with robot.publishing(labelled_scene):
        wait_for(lambda: ask(robot), ErrorCode.NOT_ACTIVE, "the node is not active: it was not configured yet")
        assert robot.transition(Transition.TRANSITION_CONFIGURE)
        wait_for(robot.client.list_regions, ErrorCode.NOT_ACTIVE)
        assert "clean up first" in robot.set_parameter("sync.policy", "approximate")
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
        robot.client.wait_until_ready(PATIENCE)
        assert ask(robot).region_ids == ["1"]

        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        assert refusal(lambda: ask(robot))[0] is ErrorCode.NOT_ACTIVE
        wait_until(lambda: robot.node.count_subscribers("/image") == 0)
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
        robot.client.wait_until_ready(PATIENCE)
        assert ask(robot).region_ids == ["1"]

        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        assert robot.transition(Transition.TRANSITION_CLEANUP)
        assert robot.set_parameter("sync.policy", "approximate") == ""
        assert robot.transition(Transition.TRANSITION_CONFIGURE)
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
        robot.client.wait_until_ready(PATIENCE)


def test_deactivating_answers_whoever_waits(robot: Robot, slow_gar: GarStarter) -> None:
    slow_gar()
    with robot.publishing(labelled_scene), ThreadPoolExecutor(3) as planners:
        robot.wait_for_state("active")
        robot.client.wait_until_ready(PATIENCE)
        calls = ask_at_length(robot, planners, 3)
        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        assert codes_of(calls) == [ErrorCode.CANCELLED] * 3
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
        robot.client.wait_until_ready(PATIENCE)
        assert ask(robot).region_ids == ["1"]


def test_a_transition_that_is_not_possible_is_refused_and_harms_nobody(robot: Robot, gar: GarStarter) -> None:
    node = gar()
    robot.wait_for_state("active")
    assert not robot.transition(Transition.TRANSITION_ACTIVATE)
    assert not robot.transition(Transition.TRANSITION_CLEANUP)
    robot.wait_for_state("active")
    assert node.is_running()


def test_coming_and_going_under_a_stream_of_images_harms_nobody(robot: Robot, gar: GarStarter) -> None:
    gar()
    with robot.publishing(labelled_scene, period=0.005):
        robot.client.wait_until_ready(PATIENCE)
        robot.wait_for_state("active")
        for _ in range(150):
            assert robot.transition(Transition.TRANSITION_DEACTIVATE)
            assert robot.transition(Transition.TRANSITION_ACTIVATE)
        robot.client.wait_until_ready(PATIENCE)


def test_a_missing_model_folder_is_told_and_can_be_corrected(
    robot: Robot, gar: GarStarter, model_dir: Path, tmp_path: Path
) -> None:
    node = gar(model=tmp_path / "nothing")
    node.wait_for_log("can't configure: model folder", PATIENCE)
    robot.wait_for_state("unconfigured")
    code, message = refusal(lambda: ask(robot))
    assert code is ErrorCode.BAD_MODEL
    assert "the node couldn't configure: model folder" in message
    assert robot.set_parameter("model", str(model_dir)) == ""
    assert robot.transition(Transition.TRANSITION_CONFIGURE)
    assert robot.transition(Transition.TRANSITION_ACTIVATE)


def test_a_bad_parameter_fails_configure_with_its_reason(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"sync.policy": "fuzzy", "autostart": "false"})
    robot.wait_for_state("unconfigured")
    assert not robot.transition(Transition.TRANSITION_CONFIGURE)
    assert "sync.policy: expected one of exact, approximate, got 'fuzzy'" in node.log
    assert robot.set_parameter("sync.policy", "exact") == ""
    assert robot.transition(Transition.TRANSITION_CONFIGURE)


def terminate(node: ChildProcess, timeout: float) -> int:
    """Sends what a launch system sends at the end."""
    os.kill(node.pid, signal.SIGTERM)
    return node.wait(timeout)


@pytest.mark.parametrize("leave", [ChildProcess.interrupt, terminate])
def test_a_signal_ends_the_node_after_the_last_replies(
    robot: Robot, slow_gar: GarStarter, leave: Callable[..., int]
) -> None:
    node = slow_gar()
    with robot.publishing(labelled_scene), ThreadPoolExecutor(2) as planners:
        robot.client.wait_until_ready(PATIENCE)
        calls = ask_at_length(robot, planners, 2)
        assert leave(node, timeout=PATIENCE) == 0
        assert codes_of(calls) == [ErrorCode.CANCELLED] * 2
    assert "Traceback" not in node.log


CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


@pytest.mark.parametrize(
    ("transitions", "leave"),
    [
        ([], ChildProcess.interrupt),
        ([Transition.TRANSITION_UNCONFIGURED_SHUTDOWN], ChildProcess.interrupt),
        ([CONFIGURE, Transition.TRANSITION_INACTIVE_SHUTDOWN], terminate),
        ([CONFIGURE, ACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN], ChildProcess.interrupt),
        ([CONFIGURE, ACTIVATE, DEACTIVATE], terminate),
        ([CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP], ChildProcess.interrupt),
        ([CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN], terminate),
    ],
)
def test_a_signal_ends_the_node_in_every_state(
    robot: Robot, gar: GarStarter, transitions: list[int], leave: Callable[..., int]
) -> None:
    node = gar(autostart="false")
    robot.wait_for_state("unconfigured")
    for transition in transitions:
        assert robot.transition(transition)
    assert leave(node, timeout=PATIENCE) == 0
    assert "Traceback" not in node.log


def test_a_signal_while_the_model_loads_ends_the_node(robot: Robot, gar: GarStarter) -> None:
    node = gar()
    wait_until(lambda: robot.node.count_publishers("/diagnostics") == 1)
    assert node.interrupt(PATIENCE) == 0
    assert "Traceback" not in node.log


def test_a_namesake_is_told_whenever_one_appears(robot: Robot, gar: GarStarter) -> None:
    node = gar()
    robot.wait_for_state("active")
    for appearance in (1, 2):
        assert node.log.count("another node is called /gar too") == appearance - 1
        namesake = rclpy.create_node("gar")
        wait_until(lambda: node.log.count("another node is called /gar too") == appearance)  # noqa: B023, called now
        namesake.destroy_node()
        looks = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=1))
        for _ in range(5):  # one a second; the node looks every two
            looks.wait()


def test_a_node_bonds_with_a_lifecycle_manager_while_it_is_active(robot: Robot, gar: GarStarter) -> None:
    bondpy = pytest.importorskip("bondpy.bondpy", reason="bondpy is not installed (apt: ros-jazzy-bondpy)")
    gar(**{"autostart": "false", "bond.heartbeat_period": 0.1})
    robot.wait_for_state("unconfigured")
    assert robot.transition(CONFIGURE)
    for _ in range(2):
        assert robot.transition(ACTIVATE)
        manager_side = bondpy.Bond(robot.node, "bond", "gar")  # as Nav2's manager: after the transition
        manager_side.start()
        wait_until(lambda: manager_side.wait_until_formed(Duration(seconds=0.1)))  # noqa: B023, called now
        assert not manager_side.is_broken()
        assert robot.transition(DEACTIVATE)
        wait_until(manager_side.is_broken)
        manager_side.shutdown()
        robot.node.destroy_subscription(manager_side.sub)
        robot.node.destroy_publisher(manager_side.pub)
