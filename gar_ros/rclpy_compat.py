# SPDX-License-Identifier: Apache-2.0
"""What differs between the rclpy of ROS's distributions, and what is taken of rclpy that isn't public.

Node and clients take these things from here, so that another rclpy is met in one file. It runs on Jazzy (rclpy 7.1) and
Kilted (9.1). Humble's (3.3) and Lyrical's have been read: `tests/rclpy_stubs` says what this file takes of them.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.action.client import ActionClient
from rclpy.action.server import ActionServer, GoalEvent, ServerGoalHandle
from rclpy.client import Client
from rclpy.clock import Clock
from rclpy.exceptions import InvalidHandle
from rclpy.executors import Executor, MultiThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.service import Service
from rclpy.task import Future, Task

try:
    from rclpy.clock_type import ClockType
except ImportError:  # Humble
    from rclpy.clock import ClockType  # type: ignore[attr-defined, unused-ignore]
try:
    from rclpy.event_handler import EventHandler, QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import QoSEventHandler as EventHandler
    from rclpy.qos_event import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
try:
    from rclpy.topic_endpoint_info import TopicEndpointInfo
except ImportError:  # Lyrical
    from rclpy.endpoint_info import TopicEndpointInfo  # type: ignore[import-not-found, no-redef, unused-ignore]

__all__ = [
    "EventHandler",
    "InvalidHandle",
    "ParameterCallbacks",
    "QoSRequestedIncompatibleQoSInfo",
    "RCLError",
    "SubscriptionEventCallbacks",
    "TakingExecutor",
    "ThreadSafeActionClient",
    "TopicEndpointInfo",
    "action_callback",
    "begin_executing",
    "change_state_service",
    "count_clients",
    "count_servers",
    "executes_in_this_thread",
    "forget_done_callback",
    "given_parameters",
    "service_name",
    "state_label",
    "steady_clock",
    "thread_pool",
    "type_hash",
    "wait_set",
]

RCLError: type[Exception] = rclpy_implementation.RCLError
"""What ROS's C library refuses, such as a lifecycle transition that isn't possible."""


def steady_clock() -> Clock:
    """A clock that goes on whatever simulated time does."""
    return Clock(clock_type=ClockType.STEADY_TIME)


def wait_set(subscriptions: int, guard_conditions: int, context: Any) -> Any:
    """A wait set with room for so many. context: the handle of rclpy's context, in use."""
    return rclpy_implementation.WaitSet(subscriptions, guard_conditions, 0, 0, 0, 0, context)


def type_hash(info: TopicEndpointInfo) -> str:
    """What tells two definitions of a message type apart; empty where it isn't known, as on Humble."""
    found = getattr(info, "topic_type_hash", None)
    return str(found) if found is not None and found.version > 0 else ""


def count_clients(node: Node, service: str) -> int:
    """Number of a service's clients. service: its full name. Humble's node only counts by DDS's names of topics."""
    if hasattr(node, "count_clients"):
        return int(node.count_clients(service))
    return len(node.get_publishers_info_by_topic(f"rq{service}Request", no_mangle=True))


def count_servers(node: Node, service: str) -> int:
    """Number of a service's servers, as `count_clients`."""
    if hasattr(node, "count_services"):
        return int(node.count_services(service))
    return len(node.get_publishers_info_by_topic(f"rr{service}Reply", no_mangle=True))


def service_name(node: Node, client: Client) -> str:
    """The full name of a client's service, after remapping. node: the client's."""
    if hasattr(client, "service_name"):
        return str(client.service_name)
    return node.resolve_service_name(client.srv_name)


def forget_done_callback(future: Future, callback: Callable[[Future], None]) -> None:
    """Takes back a callback that was added; Humble's futures have no method for it."""
    if hasattr(future, "remove_done_callback"):
        future.remove_done_callback(callback)
        return
    with future._lock, suppress(ValueError):
        future._callbacks.remove(callback)


def given_parameters(node: Node) -> dict[str, Parameter]:
    """The parameters that a params file or the command line gave, declared or not, by their names."""
    return node._parameter_overrides


def state_label(node: LifecycleNode) -> str:
    """The lifecycle state's name, such as `active`."""
    return str(node._state_machine.current_state[1])


def change_state_service(node: LifecycleNode) -> Service:
    """The service by which others change the node's lifecycle state."""
    return node._service_change_state


def action_callback(action: ActionServer, what: str) -> Callable[..., Any]:
    """A callback of an action. what: `goal`, `handle_accepted`, `cancel` or `execute`."""
    return getattr(action, f"_{what}_callback")


def begin_executing(goal: ServerGoalHandle) -> None:
    """Marks an accepted goal as executing; unlike `goal.execute` it calls no callback. Nothing for a cancelled one."""
    with suppress(RCLError):
        goal._update_state(GoalEvent.EXECUTE)


def executes_in_this_thread(executor: Executor) -> bool:
    """Whether the caller is, however deep, in a callback of this executor."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is Task.__call__.__code__ and frame.f_locals["self"]._executor() is executor:
            return True
        frame = frame.f_back
    return False


def thread_pool(executor: MultiThreadedExecutor) -> ThreadPoolExecutor:
    """The threads that run the executor's callbacks."""
    return executor._executor


Run = Callable[[], Coroutine[None, None, None]]
"""What is to be done for an entity that is ready."""


class TakingExecutor(MultiThreadedExecutor):
    """rclpy's, in which all that is read for an entity goes through `read`.

    What is read is a `Run`, or None where there is nothing to do. Humble's executor reads data instead, and has a
    second function that is called with them.
    """

    def read(self, take: Callable[[Any], Run | None], entity: Any) -> Run | None:
        """What is to be done for an entity that is ready."""
        return take(entity)

    def _make_handler(self, entity: Any, node: Any, take: Any, *execute: Any) -> Task:
        """As rclpy's. execute: Humble's second function."""
        reading = partial(self.read, partial(_with_data, take, *execute) if execute else take)
        return super()._make_handler(entity, node, reading, *([_run] if execute else []))

    async def _execute_service(self, service: Service, run: Run | None) -> None:
        """Humble's second function of services, whose first one subclasses write as later distributions have it."""
        if run is not None:
            await run()


def _with_data(
    take: Callable[[Any], Any], execute: Callable[[Any, Any], Coroutine[None, None, None]], entity: Any
) -> Run:
    return partial(execute, entity, take(entity))


async def _run(entity: Any, run: Run | None) -> None:
    if run is not None:
        await run()


class ParameterCallbacks(Node):
    """A node whose callbacks after parameters have been set are called on Humble too, which has none."""

    _after_set: tuple[Callable[[list[Parameter]], None], ...] = ()

    def add_post_set_parameters_callback(self, callback: Callable[[list[Parameter]], None]) -> None:
        """As rclpy's."""
        add = getattr(super(), "add_post_set_parameters_callback", None)
        if add is not None:
            add(callback)
        else:
            self._after_set = (callback, *self._after_set)

    def set_parameters(self, parameter_list: list[Parameter]) -> list[SetParametersResult]:
        """As rclpy's."""
        results = super().set_parameters(parameter_list)
        for parameter, result in zip(parameter_list, results, strict=True):
            self._tell_set([parameter], result)
        return results

    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> SetParametersResult:
        """As rclpy's. The parameter services come here."""
        result = super().set_parameters_atomically(parameter_list)
        self._tell_set(parameter_list, result)
        return result

    def _tell_set(self, parameters: Sequence[Parameter], result: SetParametersResult) -> None:
        if result.successful:
            for callback in self._after_set:
                callback(list(parameters))


class ThreadSafeActionClient(ActionClient):
    """One that threads may use at the same time: rclpy (7.1) takes a reply that comes before it noted its request, and
    throws it away."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._noting = threading.RLock()
        super().__init__(*arguments, **named)

    def send_goal_async(self, *arguments: Any, **named: Any) -> Future:
        """See rclpy."""
        with self._noting:
            return super().send_goal_async(*arguments, **named)

    def _get_result_async(self, *arguments: Any) -> Future:
        with self._noting:
            return super()._get_result_async(*arguments)

    def _cancel_goal_async(self, *arguments: Any) -> Future:
        with self._noting:
            return super()._cancel_goal_async(*arguments)

    async def execute(self, taken_data: Any) -> None:
        """See rclpy.waitable.Waitable."""
        with self._noting:  # requests that are being noted may be those that this replies to
            pass
        await super().execute(taken_data)
