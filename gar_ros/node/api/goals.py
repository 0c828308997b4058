# SPDX-License-Identifier: Apache-2.0
"""What actions have in common: goals that have not been told their result yet, and how goals end."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from rclpy.action.server import ActionServer, CancelResponse, GoalResponse, ServerGoalHandle
from rclpy.node import Node

from gar_ros.errors import GarError
from gar_ros.node.api.callers import REQUEST_NUMBER
from gar_ros.node.api.gate import Gate
from gar_ros.node.api.paced import PacedGroup
from gar_ros.node.endpoints import Endpoint
from gar_ros.node.qos import REQUESTS
from gar_ros.rclpy_compat import count_clients

ASKING_SECONDS = 2.0
"""How long a client may take to ask for the result of a goal that has ended; it usually asks when the goal begins."""


class OwedResults:
    """Counts goals from their acceptance until they have ended and their client has asked for the result."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taking = 0
        self._goals: dict[bytes, float | None] = {}
        """When each goal ended, monotonic seconds; None: not yet."""
        self._asked: set[bytes] = set()

    def __bool__(self) -> bool:
        """Whether a goal goes on, or somebody may still ask for its result."""
        with self._lock:
            self._forget()
            return self._taking > 0 or bool(self._goals)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """While requests of clients are taken: a goal may be about to be accepted."""
        with self._lock:
            self._taking += 1
        try:
            yield
        finally:
            with self._lock:
                self._taking -= 1
                self._forget()

    def accepted(self, goal: bytes) -> None:
        """A goal begins; its client may have asked for the result already. goal: its id."""
        with self._lock:
            self._goals[goal] = None

    def ended(self, goal: bytes) -> None:
        """The goal has its result."""
        with self._lock:
            self._goals[goal] = time.monotonic()

    def asked(self, goal: bytes) -> None:
        """A client waits for the goal's result."""
        with self._lock:
            self._asked.add(goal)

    def _forget(self) -> None:
        now = time.monotonic()
        for goal, ended in list(self._goals.items()):
            if ended is not None and (goal in self._asked or now - ended > ASKING_SECONDS):
                del self._goals[goal]
        if not self._taking:
            self._asked &= self._goals.keys()


RESULT_SECONDS = 10
"""How long a result can be fetched; rclpy keeps every goal with its images until then and lists it in `status`."""
_TRANSITION_SECONDS = 2.0
"""rclpy marks a goal as cancelled after the callback that accepts it."""


class TellingActionServer(ActionServer):
    """An action server that knows which results it still owes."""

    def __init__(self, *arguments: Any, owed: OwedResults, **named: Any) -> None:
        """As rclpy's. owed: told who asks for results; `accepted` and `ended` are left to the callbacks."""
        self._owed = owed
        super().__init__(
            *arguments,
            goal_service_qos_profile=REQUESTS,
            result_service_qos_profile=REQUESTS,
            cancel_service_qos_profile=REQUESTS,
            feedback_pub_qos_profile=REQUESTS,
            result_timeout=RESULT_SECONDS,
            **named,
        )

    async def execute(self, taken_data: Any) -> None:
        """See rclpy.waitable.Waitable."""
        with self._owed.taking():
            if "goal" in taken_data:
                header, _ = taken_data["goal"]
                REQUEST_NUMBER.set(header.sequence_number)
            await super().execute(taken_data)
            if "result" in taken_data:
                _, request = taken_data["result"]
                self._owed.asked(bytes(request.goal_id.uuid))


class Goals(ABC):
    """The goals of one action: accepts them until `refuse_goals`."""

    def __init__(self, node: Node, gate: Gate, endpoint: Endpoint, lifetime: ExitStack) -> None:
        """The action exists until `lifetime` ends."""
        self._node, self._gate = node, gate
        self._refusing = False
        self._owed = OwedResults()
        self._feedback = node.resolve_topic_name(f"{endpoint.name}/_action/feedback")
        goal_service = node.resolve_service_name(f"{endpoint.name}/_action/send_goal")
        self._paced = PacedGroup(partial(count_clients, node, goal_service))
        self._action = TellingActionServer(
            node,
            endpoint.type,
            endpoint.name,
            execute_callback=self._execute,
            goal_callback=self._decide,
            handle_accepted_callback=self._begin,
            cancel_callback=self._cancel,
            callback_group=self._paced,
            owed=self._owed,
        )
        lifetime.callback(self._action.destroy)

    def refuse_goals(self) -> None:
        """Accepts no goal from now on."""
        self._refusing = True

    @property
    def owes_results(self) -> bool:
        """Whether a goal still goes on, or its client hasn't asked for the result yet but soon will."""
        return bool(self._owed)

    def _decide(self, goal: Any) -> GoalResponse:
        return GoalResponse.REJECT if self._refusing else GoalResponse.ACCEPT

    @abstractmethod
    def _begin(self, goal: ServerGoalHandle) -> None:
        """Called when the goal was accepted."""

    @abstractmethod
    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        """Called when a client wants the goal to end."""

    @abstractmethod
    def _execute(self, goal: ServerGoalHandle) -> Any:
        """The goal's result."""


CANCELLED = "the goal was cancelled"
DESERTED = "nobody listens to the goal any more"


def end_unmet(goal: ServerGoalHandle, error: GarError) -> None:
    """Ends a goal that has no answer: as cancelled where that was asked for, else as aborted."""
    if error.message == CANCELLED:
        deadline = time.monotonic() + _TRANSITION_SECONDS
        while not goal.is_cancel_requested and time.monotonic() < deadline:
            time.sleep(0.002)
    if goal.is_cancel_requested:
        goal.canceled()
    else:
        goal.abort()


def key_of(goal: ServerGoalHandle) -> bytes:
    """The goal's id."""
    return bytes(goal.goal_id.uuid)
