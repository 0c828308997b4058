# SPDX-License-Identifier: Apache-2.0
"""Lifetimes of the node's parts: whatever fails half-way leaves nothing behind, and the next attempt works."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn

from gar_ros.errors import ErrorCode, GarError
from gar_ros.node.gar_node import GarNode

ROOMS = ("gar_ros.node.", "gar_ros.serving.", "gar_ros.memory.")
"""Where every call of a transition is made to fail."""
SETTINGS = {
    "request.max_tiles": 1,
    "runtime.threads": 1,
    "features.mode": "shared",  # so that there is a keyframer
    "autostart": "false",
}

NOT_PARTS = ("on_configure", "on_activate", "_attempt")
"""What handles the failure of a transition's parts."""
WITHIN_RCLPY = "gar_ros.node.guard"
"""A part of rclpy's own functions that create something: they undo nothing when it fails."""

Part = str
"""A function that a transition calls, as module.qualified_name."""


@pytest.fixture
def node(ros_domain: int, model_dir: Path) -> Iterator[GarNode]:
    """A node that nobody spins: its transitions are called here. It has been active once, which declares parameters."""
    given = {"model": model_dir, **SETTINGS}
    rclpy.init(args=["--ros-args", *(part for name, value in given.items() for part in ("-p", f"{name}:={value}"))])
    node = GarNode()
    for transition in (node.trigger_configure, node.trigger_activate, node.trigger_deactivate, node.trigger_cleanup):
        assert transition() is TransitionCallbackReturn.SUCCESS
    yield node
    node.destroy_node()
    rclpy.shutdown()


def whats_there(node: GarNode) -> dict[str, list[Any]]:
    """Everything that a transition could leave behind."""
    kinds = ("publishers", "subscriptions", "timers", "services", "clients", "guards", "waitables")
    return {kind: list(getattr(node, kind)) for kind in kinds} | {"threads": threading.enumerate()}


@contextmanager
def failing_call(number: int, error: Exception) -> Iterator[list[Part]]:
    """Lets the call with this number (from 0) of a function of ROOMS raise; gives the calls until then."""
    called: list[Part] = []

    def trace(frame: FrameType, event: str, _: object) -> None:
        module = frame.f_globals.get("__name__", "")
        is_part = module.startswith(ROOMS) and module != WITHIN_RCLPY and frame.f_code.co_name not in NOT_PARTS
        if event == "call" and is_part:
            called.append(f"{module}.{frame.f_code.co_qualname}" if sys.version_info >= (3, 11) else module)
            if len(called) > number:
                raise error  # as if the function had raised it; Python traces no more then

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield called
    finally:
        sys.settrace(before)


def fail_every_part(
    node: GarNode, transition: Callable[[], TransitionCallbackReturn], make_error: Callable[[], Exception]
) -> Iterator[Part]:
    """Attempts the transition again and again, failing one call later each time, until it succeeds."""
    for number in range(10_000):
        with failing_call(number, make_error()) as called:
            outcome = transition()
        if len(called) <= number:
            assert outcome is TransitionCallbackReturn.SUCCESS
            return
        assert outcome is not TransitionCallbackReturn.SUCCESS, called[-1]
        yield called[-1]


def refusal() -> GarError:
    return GarError(ErrorCode.INVALID_REQUEST, "this part was refused")


def defect() -> ValueError:
    return ValueError("this part is broken")


@pytest.mark.parametrize("make_error", [refusal, defect])
def test_whatever_fails_in_configure_leaves_nothing_behind(node: GarNode, make_error: Any) -> None:
    before = whats_there(node)
    parts = []
    for part in fail_every_part(node, node.trigger_configure, make_error):
        parts.append(part)
        assert whats_there(node) == before, part
        assert node.health().state == "unconfigured", part
        assert str(make_error()) in node.health().message
    assert {"GraphTopic", "Worker", "Server"} <= {part.split(".")[-2] for part in parts}
    assert node.health().state == node.health().message == "inactive"
    node.trigger_cleanup()
    assert whats_there(node) == before
    assert node.health().state == "unconfigured"


def test_whatever_is_refused_in_activate_leaves_nothing_behind(node: GarNode) -> None:
    assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
    before = whats_there(node)
    parts = []
    for part in fail_every_part(node, node.trigger_activate, refusal):
        parts.append(part)
        assert whats_there(node) == before, part
        assert node.health().state == "inactive", part
        assert "this part was refused" in node.health().message
    assert {"DepthInputs", "Worker", "Gate"} <= {part.split(".")[-2] for part in parts}
    assert node.health().state == "active"
    node.trigger_deactivate()
    assert whats_there(node) == before
    assert node.health().state == "inactive"


def test_a_defect_in_activate_frees_everything(node: GarNode) -> None:
    before = whats_there(node)

    def activate() -> TransitionCallbackReturn:
        trace = sys.gettrace()
        sys.settrace(None)
        assert node.trigger_configure() is TransitionCallbackReturn.SUCCESS
        sys.settrace(trace)
        return node.trigger_activate()

    for part in fail_every_part(node, activate, defect):
        assert whats_there(node) == before, part
        assert node.health().state == "unconfigured", part
        assert "this part is broken" in node.health().message
    assert node.health().state == "active"


@pytest.mark.parametrize("state", ["unconfigured", "inactive", "active", "finalized"])
def test_a_node_that_is_destroyed_leaves_no_thread_in_any_state(state: str, ros_domain: int, model_dir: Path) -> None:
    threads = threading.enumerate()
    rclpy.init(args=["--ros-args", "-p", f"model:={model_dir}", "-p", "autostart:=false"])
    node = GarNode()
    transitions = {
        "unconfigured": [],
        "inactive": [node.trigger_configure],
        "active": [node.trigger_configure, node.trigger_activate],
        "finalized": [node.trigger_configure, node.trigger_activate, node.trigger_shutdown],
    }
    for transition in transitions[state]:
        assert transition() is TransitionCallbackReturn.SUCCESS
    assert node.health().state == state
    node.destroy_node()
    rclpy.shutdown()
    assert threading.enumerate() == threads


def test_without_bondpy_a_node_that_shall_bond_is_not_configured(
    node: GarNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("bondpy", "bondpy.bondpy"):
        monkeypatch.setitem(sys.modules, module, None)
    node.set_parameters([rclpy.parameter.Parameter("bond.heartbeat_period", value=0.25)])
    assert node.trigger_configure() is TransitionCallbackReturn.FAILURE
    assert "bond.heartbeat_period is 0.25 s, which needs bondpy" in node.health().message
