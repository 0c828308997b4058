# SPDX-License-Identifier: Apache-2.0
"""The package's one door to what differs between the rclpy of ROS's distributions, and what of it isn't public."""

from __future__ import annotations

import importlib
import threading
import time
from functools import partial
from typing import Any, cast

import pytest
import rclpy
import rclpy.executors
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.client import Client
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.publisher import Publisher
from rclpy.service import Service
from rclpy.subscription import Subscription
from rclpy.task import Future
from std_msgs.msg import Int32

from gar_ros import rclpy_compat
from gar_ros.node.executor import Executor

PATIENCE = 60.0


def until(condition: Any) -> bool:
    """Whether the condition came true within PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())


# What of rclpy isn't public. Each is named where it is missing, so that a new rclpy tells what has to be looked at.


@pytest.mark.parametrize(
    "part",
    [
        "rclpy.action.client.ActionClient._cancel_goal_async",
        "rclpy.action.client.ActionClient._get_result_async",
        "rclpy.action.server.GoalEvent.EXECUTE",
        "rclpy.action.server.ServerGoalHandle._update_state",
        "rclpy.executors.MultiThreadedExecutor._make_handler",
        "rclpy.executors.MultiThreadedExecutor._take_service",
        "rclpy.executors.MultiThreadedExecutor._wait_for_ready_callbacks",
        "rclpy.executors.await_or_execute",
        "rclpy.impl.implementation_singleton.rclpy_implementation.RCLError",
        "rclpy.impl.implementation_singleton.rclpy_implementation.WaitSet.add_guard_condition",
        "rclpy.impl.implementation_singleton.rclpy_implementation.WaitSet.add_subscription",
        "rclpy.impl.implementation_singleton.rclpy_implementation.WaitSet.clear_entities",
        "rclpy.impl.implementation_singleton.rclpy_implementation.WaitSet.wait",
        "rclpy.task.Task.__call__",
    ],
)
def test_rclpy_has_what_isn_t_public(part: str) -> None:
    module = next(name for name in prefixes_of(part) if is_module(name))
    found: Any = importlib.import_module(module)
    for name in part.removeprefix(f"{module}.").split("."):
        assert hasattr(found, name), f"rclpy has no {part} any more: see gar_ros/rclpy_compat.py and node/executor.py"
        found = getattr(found, name)


def prefixes_of(part: str) -> list[str]:
    names = part.split(".")
    return [".".join(names[:count]) for count in range(len(names), 0, -1)]


def is_module(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def test_a_lifecycle_node_has_what_isn_t_public(ros_domain: int) -> None:
    rclpy.init()
    one = rclpy.lifecycle.LifecycleNode("one")
    try:
        assert rclpy_compat.state_label(one) == "unconfigured"
        assert rclpy_compat.change_state_service(one) in list(one.services)
        assert rclpy_compat.change_state_service(one).srv_name.endswith("change_state")
    finally:
        one.destroy_node()
        rclpy.shutdown()


def test_parameters_that_were_given_are_known_before_they_are_declared(ros_domain: int) -> None:
    rclpy.init()
    one = rclpy.create_node("one", parameter_overrides=[Parameter("rate", value=3)])
    try:
        assert rclpy_compat.given_parameters(one)["rate"].value == 3
        assert not one.has_parameter("rate")
    finally:
        one.destroy_node()
        rclpy.shutdown()


def test_an_executor_has_as_many_threads_as_it_was_given(ros_node: Node) -> None:
    executor = MultiThreadedExecutor(num_threads=3)
    assert rclpy_compat.thread_pool(executor)._max_workers == 3
    executor.shutdown()


def test_a_callback_knows_whose_thread_it_runs_in(ros_node: Node) -> None:
    executor, other = rclpy.executors.SingleThreadedExecutor(), rclpy.executors.SingleThreadedExecutor()
    known = executor.create_task(lambda: [rclpy_compat.executes_in_this_thread(one) for one in (executor, other)])
    executor.spin_once()
    assert known.result() == [True, False]
    assert not rclpy_compat.executes_in_this_thread(executor)


# What Humble lacks, done another way: here without what this rclpy has, with the same result.


def test_clients_and_servers_are_counted_alike_without_rclpys_counts(
    ros_node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    ros_node.create_service(GetState, "served", lambda request, response: response)
    clients: list[Client] = [ros_node.create_client(GetState, "served") for _ in range(3)]
    name = ros_node.resolve_service_name("served")
    counts = [rclpy_compat.count_clients, rclpy_compat.count_servers]
    assert until(lambda: [count(ros_node, name) for count in counts] == [3, 1])
    monkeypatch.delattr(Node, "count_clients")
    monkeypatch.delattr(Node, "count_services")
    assert [count(ros_node, name) for count in counts] == [3, 1]
    assert [count(ros_node, "/nobody") for count in counts] == [0, 0]
    ros_node.destroy_client(clients[0])
    assert until(lambda: rclpy_compat.count_clients(ros_node, name) == 2)


def test_a_clients_service_has_the_same_name_without_rclpys_property(
    ros_domain: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rclpy.init(args=["--ros-args", "-r", "__ns:=/robot", "-r", "asked:=somewhere/else"])
    one = rclpy.create_node("one")
    client: Client = one.create_client(GetState, "asked")
    try:
        assert rclpy_compat.service_name(one, client) == "/robot/somewhere/else"
        monkeypatch.delattr(type(client), "service_name")
        assert rclpy_compat.service_name(one, client) == "/robot/somewhere/else"
    finally:
        one.destroy_node()
        rclpy.shutdown()


@pytest.mark.parametrize("has_method", [True, False])
def test_a_done_callback_that_was_taken_back_is_not_called(has_method: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not has_method:
        monkeypatch.delattr(Future, "remove_done_callback")
    future: Future = Future()
    called: list[Future] = []
    for callback in (taken_back := partial(called.append), called.append):
        future.add_done_callback(callback)
    rclpy_compat.forget_done_callback(future, taken_back)
    rclpy_compat.forget_done_callback(future, taken_back)  # once more does no harm
    future.set_result(1)
    assert called == [future]


@pytest.mark.parametrize("has_callbacks", [True, False])
def test_a_callback_hears_of_parameters_that_were_set_and_of_no_others(
    ros_domain: int, has_callbacks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_callbacks:
        monkeypatch.delattr(Node, "add_post_set_parameters_callback")
    rclpy.init()
    one, heard = rclpy_compat.ParameterCallbacks("one"), []
    one.declare_parameter("rate", 1)
    one.declare_parameter("name", "a")
    one.add_post_set_parameters_callback(lambda given: heard.append({each.name: each.value for each in given}))
    try:
        one.set_parameters_atomically([Parameter("rate", value=2), Parameter("name", value="b")])
        assert heard == [{"rate": 2, "name": "b"}]
        one.set_parameters([Parameter("rate", value="no number"), Parameter("name", value="c")])
        assert heard[1:] == [{"name": "c"}]
    finally:
        one.destroy_node()
        rclpy.shutdown()


def test_no_type_hash_is_known_where_rclpy_tells_none(ros_node: Node) -> None:
    ros_node.create_publisher(Int32, "numbers", 1)
    (info,) = ros_node.get_publishers_info_by_topic("/numbers")
    assert rclpy_compat.type_hash(info).startswith("RIHS01_")
    assert rclpy_compat.type_hash(object()) == ""  # type: ignore[arg-type]


class CalledAsByHumble(Executor):
    """rclpy 3.3 makes a handler of two functions: one reads data, the other one is called with them."""

    unreadable = 1
    """Messages that can't be read, before all others."""

    def _make_handler(self, entity: Any, node: Any, take: Any, *_: Any) -> Any:
        async def execute(entity: Any, run: Any) -> None:
            await run()

        def take_or_fail(entity: Any) -> Any:
            if isinstance(entity, Subscription) and self.unreadable:
                self.unreadable -= 1
                raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
            return take(entity)

        if isinstance(entity, Service):
            return super()._make_handler(entity, node, take, self._execute_service)
        return super()._make_handler(entity, node, take_or_fail, execute)


def heard_after(publisher: Publisher, numbers: list[int]) -> bool:
    publisher.publish(Int32(data=3))
    return bool(numbers)


def test_the_executor_serves_and_hears_with_humbles_handlers(ros_node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    own = MultiThreadedExecutor._make_handler

    def humbles(self: Any, entity: Any, node: Any, take: Any, execute: Any) -> Any:
        return own(self, entity, node, lambda ready: partial(execute, ready, take(ready)))

    monkeypatch.setattr(MultiThreadedExecutor, "_make_handler", humbles)
    defects: list[Exception] = []
    numbers: list[int] = []
    executor = CalledAsByHumble(1, defects.append)
    ros_node.create_subscription(Int32, "numbers", lambda message: numbers.append(cast(Int32, message).data), 10)
    ros_node.create_service(
        GetState, "served", lambda request, response: GetState.Response(current_state=State(label="here"))
    )
    publisher = ros_node.create_publisher(Int32, "numbers", 10)
    client: Client = ros_node.create_client(GetState, "served")
    executor.add_node(ros_node)
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    try:
        assert client.wait_for_service(PATIENCE)
        reply: Any = client.call_async(GetState.Request())
        assert until(reply.done)
        assert until(lambda: heard_after(publisher, numbers))
    finally:
        executor.shutdown()
        spinner.join()
    assert reply.result().current_state.label == "here"
    assert set(numbers) == {3}
    assert [type(defect) for defect in defects] == [UnicodeDecodeError]
