# SPDX-License-Identifier: Apache-2.0
"""What gar_ros/rclpy_compat.py takes of Lyrical's rclpy.

Each part names the file that it was read in, in ros2/rclpy, branch rolling, in the year of Lyrical (2026), with the
commit. Of the files without a commit nothing as new was at hand: their parts are those of Kilted's 9.1.2.
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
    EXECUTE = 0

class ServerGoalHandle:
    def _update_state(self, event: GoalEvent) -> None: ...

class ActionServer: ...

# rclpy/client.py
class Client:
    srv_name: str
    @property
    def service_name(self) -> str: ...

# rclpy/clock.py
class Clock:
    def __new__(cls, *, clock_type: ClockType = ...) -> Clock: ...

# rclpy/clock_type.py
class ClockType(IntEnum):
    STEADY_TIME = 3

# rclpy/endpoint_info.py 242de27d
class TopicEndpointInfo:
    @property
    def topic_type_hash(self) -> Any: ...

# rclpy/event_handler.py
class EventHandler: ...
class QoSRequestedIncompatibleQoSInfo: ...
class SubscriptionEventCallbacks: ...

# rclpy/exceptions.py
class InvalidHandle(Exception): ...  # noqa: N818

# rclpy/executors.py 01352d68
class Executor: ...

class MultiThreadedExecutor(Executor):
    _executor: ThreadPoolExecutor
    def _make_handler(
        self,
        entity: Any,
        node: Node,
        take_from_wait_list: Callable[[Any], Callable[[], Coroutine[None, None, None]] | None],
    ) -> Task: ...

# rclpy/impl/implementation_singleton.py 43b61f06 (the stub of the extension, impl/_rclpy_nanobind.pyi)
class rclpy_implementation:  # noqa: N801 a module
    class RCLError(RuntimeError): ...

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
    def count_clients(self, service_name: str) -> int: ...
    def count_services(self, service_name: str) -> int: ...
    def add_post_set_parameters_callback(self, callback: Callable[[list[Parameter]], None]) -> None: ...
    def set_parameters(self, parameter_list: list[Parameter]) -> list[Any]: ...
    def set_parameters_atomically(self, parameter_list: list[Parameter]) -> Any: ...

# rclpy/parameter.py
class Parameter: ...

# rclpy/service.py
class Service:
    callback: Callable[[Any, Any], Any]

# rclpy/task.py
class Future:
    _lock: Lock
    _callbacks: list[Callable[[Future], None]]
    _executor: Callable[[], Executor | None]
    def remove_done_callback(self, callback: Callable[[Future], None]) -> bool: ...

class Task(Future):
    def __call__(self) -> None: ...
