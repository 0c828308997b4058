# SPDX-License-Identifier: Apache-2.0
"""Every callback of the node has a guard at its door: what fails behind it is told, and never ends the node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rcl_interfaces.msg
import rclpy
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.action.server import ActionServer
from rclpy.event_handler import EventHandler
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter

from gar_ros.errors import ErrorCode, GarError
from gar_ros.node.gar_node import GarNode
from gar_ros.node.guard import Door, Doors
from gar_ros.rclpy_compat import InvalidHandle
from gar_ros.srv import QueryRegions

SETTINGS = {"runtime.threads": 1, "features.mode": "shared", "autostart": "false"}


class PanicError(BaseException):
    """As the PanicException of libraries written in Rust, which is no Exception."""


class UnprintableError(Exception):
    """Some can't even be printed."""

    def __str__(self) -> str:
        raise ValueError("no text")


FAILURES: list[Callable[[], BaseException]] = [lambda: PanicError("panicked"), UnprintableError, MemoryError]


class Log:
    """Stands for a ROS logger."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.warning, self.error = self.warnings.append, self.errors.append


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def doors(log: Log) -> Doors:
    logger: Any = log
    return Doors(lambda: logger)


def raising(error: BaseException) -> Callable[..., Any]:
    def call(*_: Any) -> None:
        raise error

    return call


@pytest.fixture(params=["image", "points"])
def active_node(request: pytest.FixtureRequest, ros_domain: int, model_dir: Path) -> Iterator[GarNode]:
    """A node that nobody spins, with everything that it can create."""
    given = {"model": model_dir, "depth.source": request.param, **SETTINGS}
    rclpy.init(args=["--ros-args", *(part for name, value in given.items() for part in ("-p", f"{name}:={value}"))])
    node = GarNode()
    for transition in (node.trigger_configure, node.trigger_activate):
        assert transition() is TransitionCallbackReturn.SUCCESS
    yield node
    node.destroy_node()
    rclpy.shutdown()


def callbacks(node: GarNode) -> dict[str, Any]:
    """Everything that the executor would call."""
    found: dict[str, Any] = {f"subscription {one.topic_name}": one.callback for one in node.subscriptions}
    found |= {f"timer {number}": one.callback for number, one in enumerate(node.timers)}
    found |= {f"service {one.srv_name}": one.callback for one in node.services}
    found |= {f"condition {number}": one.callback for number, one in enumerate(node.guards)}
    for number, one in enumerate(node.waitables):
        if isinstance(one, EventHandler):
            found[f"event {number}"] = one.callback
        else:
            assert isinstance(one, ActionServer), "another kind of waitable needs a guard too"
            for name in ("goal_callback", "handle_accepted_callback", "cancel_callback", "execute_callback"):
                found[f"action {name}"] = getattr(one, f"_{name}")
    for kind in ("pre", "on", "post"):
        for number, one in enumerate(getattr(node, f"_{kind}_set_parameters_callbacks")):
            found[f"{kind}_set_parameters {number}"] = one
    return found


def test_every_callback_of_the_node_is_behind_a_door_that_stands_whatever_fails(active_node: GarNode) -> None:
    found = callbacks(active_node)
    kinds = {name.split()[0] for name in found}
    assert kinds == {"subscription", "timer", "service", "event", "action", "on_set_parameters", "post_set_parameters"}
    for name, door in found.items():
        assert isinstance(door, Door), name
        for error in (make() for make in FAILURES):
            door.callback = raising(error)
            request = [QueryRegions.Request(), QueryRegions.Response()] if name.startswith("service") else [None]
            door(*request)
            assert type(error).__name__ in active_node.doors.failing()[door.name], name
        door.callback = lambda *_: None
        door(None, None)
        assert door.name not in active_node.doors.failing()


def test_a_service_that_fails_replies_with_the_reason(active_node: GarNode) -> None:
    door = callbacks(active_node)["service ~/query_regions"]
    door.callback = raising(PanicError("panicked"))
    response = door(QueryRegions.Request(), QueryRegions.Response())
    assert response.error_code == ErrorCode.INTERNAL_ERROR
    assert response.error_msg == "PanicError: panicked; see the node's log"


@pytest.mark.parametrize("kind", [SetParameters, SetParametersAtomically])
def test_a_parameter_of_no_type_is_refused_with_the_reason(active_node: GarNode, kind: Any) -> None:
    parameter = rcl_interfaces.msg.Parameter(name="model", value=ParameterValue(type=255))
    name = "/set_parameters" if kind is SetParameters else "/set_parameters_atomically"
    (door,) = (one for service, one in callbacks(active_node).items() if service.endswith(name))
    response = door(kind.Request(parameters=[parameter]), kind.Response())
    result = response.results[0] if kind is SetParameters else response.result
    assert (result.successful, result.reason) == (False, "ValueError: 255 is not a valid Parameter.Type")


def test_a_parameter_whose_check_fails_is_refused(active_node: GarNode) -> None:
    for name, door in callbacks(active_node).items():
        if name.startswith("on_set_parameters"):
            door.callback = raising(KeyError("odd"))
    result = active_node.set_parameters_atomically([Parameter("request.max_age", value=3.0)])
    assert (result.successful, result.reason) == (False, "KeyError: 'odd'")


def test_a_refusal_is_a_warning_and_a_defect_an_error_with_its_traceback(doors: Doors, log: Log) -> None:
    doors.guard("messages on /image", raising(GarError(ErrorCode.INVALID_REQUEST, "too wide")))()
    doors.guard("messages on /depth", raising(ValueError("odd")))()
    assert log.warnings == ["messages on /image: too wide"]
    assert log.errors[0].startswith("messages on /depth: a defect that costs this call only: ValueError: odd\n")
    assert "Traceback" in log.errors[0]
    assert doors.failing() == {"messages on /image": "too wide", "messages on /depth": "ValueError: odd"}


def test_each_reason_is_told_once_even_where_good_messages_come_between(doors: Doors, log: Log) -> None:
    for number in range(100):
        doors.guard("a", raising(GarError(ErrorCode.INVALID_REQUEST, f"expected 3, got {number} as 'n{number}'")))()
        doors.guard("a", lambda: None)()
    doors.guard("a", raising(GarError(ErrorCode.INVALID_REQUEST, "no stamp")))()
    assert log.warnings == ["a: expected 3, got 0 as 'n0'", "a: no stamp"]


def test_garbage_that_is_always_different_does_not_fill_the_log(doors: Doors, log: Log) -> None:
    for number in range(1000):
        doors.guard("a", raising(GarError(ErrorCode.INVALID_REQUEST, "x" * number)))()
    assert len(log.warnings) <= 20
    assert doors.failing()["a"].startswith("xxx")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()])
def test_what_ends_the_process_passes(doors: Doors, log: Log, error: BaseException) -> None:
    with pytest.raises(type(error)):
        doors.guard("a", raising(error))()
    assert not log.errors
    assert not doors.failing()


def test_what_a_lifetime_that_ends_does_to_a_callback_is_no_defect(doors: Doors, log: Log) -> None:
    gone = raising(InvalidHandle("gone"))
    assert doors.guard("a", gone)() is None
    assert doors.guard("a", gone, lambda reason: f"refused: {reason}")() == "refused: InvalidHandle: gone"
    assert not log.errors
    assert not doors.failing()


def test_a_reason_can_always_be_logged_and_sent(doors: Doors) -> None:
    doors.guard("a", raising(ValueError("a\ud800b\0c\nd")))()
    assert doors.failing()["a"] == "ValueError: a?b c d"
