# SPDX-License-Identifier: Apache-2.0
"""The guard at the door of every callback: what fails there costs one message, not the node, and is never silent."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.action.server import ActionServer, CancelResponse, GoalResponse
from rclpy.impl.rcutils_logger import RcutilsLogger

from gar_ros.errors import LEAVING, ErrorCode, GarError, reason_of
from gar_ros.node.log import Told
from gar_ros.rclpy_compat import EventHandler, InvalidHandle, ParameterCallbacks, action_callback

Fallback = Callable[..., Any]
"""What a door returns when its callback failed; called with the reason and what the callback was called with."""


def nothing(reason: str, *arguments: Any) -> None:
    """The fallback of callbacks that return nothing."""


class Doors:
    """What is wrong at which door. Thread-safe.

    A door is a callback of the executor, or a topic whose messages are looked at later. It is in `failing` until it
    works again; the log tells each reason once, and that of a defect with its traceback.
    """

    def __init__(self, logger: Callable[[], RcutilsLogger]) -> None:
        """logger: returns the node's logger."""
        self._logger = logger
        self._lock = threading.Lock()
        self._failing: dict[str, str] = {}
        self._told = Told()

    def guard(self, name: str, callback: Callable[..., Any], fallback: Fallback = nothing) -> Door:
        """The callback behind a door with this name, which is in every log message about it."""
        return callback if isinstance(callback, Door) else Door(self, name, callback, fallback)

    def failed(self, name: str, error: BaseException) -> str:
        """The reason, for people. A GarError is the refusal of an input, or a failure of what is used such as the
        model's runtime; all else is a defect."""
        reason = reason_of(error)
        if isinstance(error, GarError) and error.code is ErrorCode.INTERNAL_ERROR:
            if self._is_news(name, reason):
                self._logger().error(f"{name}: {reason}")
        elif isinstance(error, GarError):
            self.refused(name, reason)
        elif self._is_news(name, reason):
            with suppress(Exception):  # such as no memory left
                trace = "".join(traceback.format_exception(error)).encode(errors="replace").decode()
                self._logger().error(f"{name}: a defect that costs this call only: {reason}\n{trace}")
        return reason

    def of(self, name: str) -> tuple[Callable[[BaseException], str], Callable[[], None]]:
        """`failed` and `worked` of one door."""
        return partial(self.failed, name), partial(self.worked, name)

    def refused(self, name: str, reason: str) -> None:
        """As `failed`, where there is no exception any more."""
        if self._is_news(name, reason):
            self._logger().warning(f"{name}: {reason}")

    def worked(self, name: str) -> None:
        """The door works again."""
        if name in self._failing:
            with self._lock:
                self._failing.pop(name, None)

    def forget(self) -> None:
        """Nothing is failing that isn't there any more."""
        with self._lock:
            self._failing.clear()

    def failing(self) -> dict[str, str]:
        """The reason of each door that failed when it was used last, by its name."""
        with self._lock:
            return dict(self._failing)

    def _is_news(self, name: str, reason: str) -> bool:
        with self._lock:
            self._failing[name] = reason
            return self._told.is_news(name, reason)


class Door:
    """A callback that never raises what would end the executor."""

    def __init__(self, doors: Doors, name: str, callback: Callable[..., Any], fallback: Fallback) -> None:
        self.name, self.callback = name, callback
        self.__wrapped__ = callback  # rclpy looks at the signature
        self._doors, self._fallback = doors, fallback

    def __call__(self, *arguments: Any) -> Any:
        """What the callback returns; the fallback's result where it raises, whatever that is."""
        try:
            result = self.callback(*arguments)
        except LEAVING:
            raise
        except InvalidHandle as error:  # while the lifetime of what it uses ends: no defect
            if self._fallback is nothing:
                return None
            return self._fallback(reason_of(error), *arguments)
        except BaseException as error:  # noqa: BLE001 panics of libraries written in Rust are no Exception
            return self._fallback(self._doors.failed(self.name, error), *arguments)
        self._doors.worked(self.name)
        return result


class GuardedNode(ParameterCallbacks):
    """A node with a guard at the door of everything that is created with it, by whomever."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """As rclpy's."""
        self.doors = Doors(self.get_logger)
        super().__init__(*arguments, **named)

    def guard_own_services(self) -> None:
        """Guards the services that rclpy makes without `create_service`; call it when their callbacks are final."""
        for service in self.services:
            service.callback = self.doors.guard(f"service {service.srv_name}", service.callback, _unanswered)

    def create_subscription(self, msg_type: Any, topic: str, callback: Any, *rest: Any, **named: Any) -> Any:
        """As rclpy's."""
        door = self.doors.guard(subscription_door(self.resolve_topic_name(topic)), callback)
        return super().create_subscription(msg_type, topic, door, *rest, **named)

    def create_service(self, srv_type: Any, srv_name: str, callback: Any, *rest: Any, **named: Any) -> Any:
        """As rclpy's."""
        door = self.doors.guard(f"service {self.resolve_service_name(srv_name)}", callback, _unanswered)
        return super().create_service(srv_type, srv_name, door, *rest, **named)

    def create_timer(self, timer_period_sec: float, callback: Any, *rest: Any, **named: Any) -> Any:
        """As rclpy's."""
        door = self.doors.guard(f"timer {name_of(callback)}", callback)
        return super().create_timer(timer_period_sec, door, *rest, **named)

    def create_guard_condition(self, callback: Any, *rest: Any, **named: Any) -> Any:
        """As rclpy's."""
        door = self.doors.guard(f"condition {name_of(callback)}", callback)
        return super().create_guard_condition(door, *rest, **named)

    def add_waitable(self, waitable: Any) -> None:
        """As rclpy's; events of publishers and subscriptions, and actions, come here."""
        if isinstance(waitable, EventHandler):
            waitable.callback = self.doors.guard(f"event {name_of(waitable.callback)}", waitable.callback)
        elif isinstance(waitable, ActionServer):
            self._guard_action(waitable)
        super().add_waitable(waitable)

    def add_pre_set_parameters_callback(self, callback: Any) -> None:
        """As rclpy's."""
        super().add_pre_set_parameters_callback(self._at_parameters(callback, lambda reason, given: given))

    def add_on_set_parameters_callback(self, callback: Any) -> None:
        """As rclpy's."""

        def refuse(reason: str, *_: Any) -> SetParametersResult:
            return SetParametersResult(successful=False, reason=reason)

        super().add_on_set_parameters_callback(self._at_parameters(callback, refuse))

    def add_post_set_parameters_callback(self, callback: Any) -> None:
        """As rclpy's."""
        super().add_post_set_parameters_callback(self._at_parameters(callback, nothing))

    def _at_parameters(self, callback: Any, fallback: Fallback) -> Door:
        return self.doors.guard(f"parameters {name_of(callback)}", callback, fallback)

    def _guard_action(self, action: ActionServer) -> None:
        def guard(what: str, fallback: Fallback) -> Door:
            return self.doors.guard(f"action callback {what}_callback", action_callback(action, what), fallback)

        action.register_goal_callback(guard("goal", lambda *_: GoalResponse.REJECT))
        action.register_handle_accepted_callback(guard("handle_accepted", nothing))
        action.register_cancel_callback(guard("cancel", lambda *_: CancelResponse.REJECT))
        action.register_execute_callback(
            guard("execute", lambda reason, goal: _told(action.action_type.Result(), reason))
        )


def subscription_door(topic: str) -> str:
    """The name of the door of a subscription. topic: the resolved name."""
    return f"subscription {topic}"


def name_of(callback: Callable[..., Any]) -> str:
    """What a callback is called in the code."""
    while isinstance(callback, partial):
        callback = callback.func
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def _unanswered(reason: str, request: Any, response: Any) -> Any:
    """A response of the same type as the one that failed half-way, with the reason where it has a place for it."""
    refused = type(response)()
    if isinstance(refused, SetParameters.Response):
        refused.results = [SetParametersResult(reason=reason) for _ in request.parameters]
    elif isinstance(refused, SetParametersAtomically.Response):
        refused.result.reason = reason
    return _told(refused, reason)


def _told(response: Any, reason: str) -> Any:
    """The response or result with the error, where its type has a field for it."""
    if hasattr(response, "error_code"):
        response.error_code, response.error_msg = int(ErrorCode.INTERNAL_ERROR), f"{reason}; see the node's log"
    return response
