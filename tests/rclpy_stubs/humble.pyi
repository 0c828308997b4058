# SPDX-License-Identifier: Apache-2.0
"""What gar_ros/rclpy_compat.py takes of Humble's rclpy, as read in ros2/rclpy, branch humble (3.3.15, b488272b).

Each part names the file that it was read in. What isn't here, Humble doesn't have.
"""

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from threading import Lock
from typing import Any

# rclpy/action/client.py
class ActionClient:
    def __init__(self, *arguments: Any, **named: Any) -> None: ...
    def send_goal_async(self, *arguments: Any, **named: Any) -> Future: ...
    def _get_result_async(self, goal_handle: Any) -> Future: ...
    def _cancel_goal_async(self, goal_handle: Any) -> Future: ...
    async def execute(self, taken_data: Any) -> None: ...

# rclpy/action/server.py
class GoalEvent(IntEnum):
    EXECUTE = 1

class ServerGoalHandle:
    def _update_state(self, event: GoalEvent) -> None: ...

class ActionServer: ...

# rclpy/client.py
class Client:
    srv_name: str

# rclpy/clock.py
class ClockType(IntEnum):
    STEADY_TIME = 3

class Clock:
    def __new__(cls, *, clock_type: ClockType = ...) -> Clock: ...

# rclpy/exceptions.py
class InvalidHandle(Exception): ...  # noqa: N818

# rclpy/executors.py
class Executor: ...

class MultiThreadedExecutor(Executor):
    _executor: ThreadPoolExecutor
    def _make_handler(
        self,
        entity: Any,
        node: Node,
        take_from_wait_list: Callable[[Any], Any],
        call_coroutine: Callable[[Any, Any], Coroutine[None, None, None]],
    ) -> Task: ...
    async def _execute_service(self, srv: Service, request_and_header: Any) -> None: ...

# rclpy/impl/implementation_singleton.py
class rclpy_implementation:  # noqa: N801 a module
    class RCLError(Exception): ...

    class WaitSet:
        def __init__(
            self,
            subscriptions: int,
            guard_conditions: int,
            timers: int,
            clients: int,
            services: int,
            events: int,
            context: Any,
        ) -> None: ...

# rclpy/lifecycle/__init__.py
class LifecycleNode:
    _state_machine: LifecycleStateMachine
    _service_change_state: Service

class LifecycleStateMachine:
    @property
    def current_state(self) -> tuple[int, str]: ...

# rclpy/node.py
class Node:
    _parameter_overrides: dict[str, Parameter]
    def resolve_service_name(self, service: str, *, only_expand: bool = False) -> str: ...
    def get_publishers_info_by_topic(self, topic_name: str, no_mangle: bool = False) -> list[TopicEndpointInfo]: ...
    def set_parameters(self, parameter_list: list[Parameter]) -> list[Any]: ...
    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> Any: ...

# rclpy/parameter.py
class Parameter: ...

# rclpy/qos_event.py
class QoSEventHandler: ...
class QoSRequestedIncompatibleQoSInfo: ...
class SubscriptionEventCallbacks: ...

# rclpy/service.py
class Service:
    callback: Callable[[Any, Any], Any]

# rclpy/task.py
class Future:
    _lock: Lock
    _callbacks: list[Callable[[Future], None]]
    _executor: Callable[[], Executor | None]

class Task(Future):
    def __call__(self) -> None: ...

# rclpy/topic_endpoint_info.py
class TopicEndpointInfo: ...
