# SPDX-License-Identifier: Apache-2.0
"""The action of watches: its goals occupy no thread, however long they go on, and each gets exactly one result."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

from rclpy.action.server import CancelResponse, ServerGoalHandle

from gar_ros.action import WatchRegions
from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.answers import answer_message
from gar_ros.messages.headers import stamp_message
from gar_ros.node.api.gate import Gate, Served
from gar_ros.node.api.goals import CANCELLED, DESERTED, Goals, end_unmet, key_of
from gar_ros.node.endpoints import WATCH, Camera
from gar_ros.node.guard import GuardedNode
from gar_ros.node.timers import every
from gar_ros.rclpy_compat import begin_executing
from gar_ros.serving.watch import End, Look, Watch, WatchRequest

_LISTENERS_SECONDS = 1.0
"""Between two looks at whether somebody still listens."""


class _Begun(NamedTuple):
    """A watch that goes on. listened: whether somebody has listened to feedback since it began."""

    served: Served
    watch: Watch
    listened: bool = False


class Watches(Goals):
    """Accepts goals until `refuse_goals`, with a refusal as result while the gate is closed.

    rclpy (7.1) runs a callback that awaits something again and again meanwhile, so a goal's callback is only called
    when its watch has ended.
    """

    def __init__(self, node: GuardedNode, gate: Gate, lifetime: ExitStack, camera: Camera) -> None:
        """The action exists until `lifetime` ends."""
        endpoint = camera.of(WATCH)
        self._lock = threading.Lock()
        self._begun: dict[bytes, _Begun] = {}
        self._ends: dict[bytes, tuple[Served | None, End]] = {}
        super().__init__(node, gate, endpoint, lifetime)
        every(node, _LISTENERS_SECONDS, self._look_for_listeners, lifetime)
        self._tell = node.doors.guard(f"feedback of {endpoint.name}", self._publish)

    def _begin(self, goal: ServerGoalHandle) -> None:
        self._owed.accepted(key_of(goal))
        begin_executing(goal)
        error = self._gate.reply(partial(self._watch, goal), WatchRegions.Result(), counted=False)
        if error is not None:
            self._end(goal, None, error)

    def _watch(self, goal: ServerGoalHandle, served: Served, _: WatchRegions.Result) -> None:
        request = request_of(goal.request)
        with self._lock:  # the watch may end before `begin` returns
            watch = served.watcher.begin(request, partial(self._tell, goal), partial(self._end, goal, served))
            self._begun[key_of(goal)] = _Begun(served, watch, self._count_listeners() > 0)
        if goal.is_cancel_requested:  # it came before there was a watch
            self._cancel(goal)

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        with self._lock:
            begun = self._begun.get(key_of(goal))
        if begun is not None:
            begun.served.watcher.stop(begun.watch, GarError(ErrorCode.CANCELLED, CANCELLED))
        return CancelResponse.ACCEPT

    def _end(self, goal: ServerGoalHandle, served: Served | None, end: End) -> None:
        """Has the executor call `_execute`. served: None for a goal that was refused."""
        self._ends[key_of(goal)] = served, end
        self._action.notify_execute(goal, None)

    def _execute(self, goal: ServerGoalHandle) -> WatchRegions.Result:
        """The result. What went wrong becomes error_code and error_msg of an aborted or cancelled goal."""
        result = WatchRegions.Result()
        served, end = self._ends.pop(key_of(goal))
        with self._lock:
            self._begun.pop(key_of(goal), None)
        try:
            error = self._gate.finish(partial(self._fill, served, end, result), result)
            if error is None:
                goal.succeed()
            else:
                self._paced.refused()
                end_unmet(goal, error)
        finally:
            self._owed.ended(key_of(goal))
        return result

    def _fill(self, served: Served | None, end: End, result: WatchRegions.Result) -> None:
        if isinstance(end, GarError):
            raise GarError(end.code, end.message)  # a new one, since many goals may end with the same
        if served is not None:
            served.on_answer(end)
        result.answer = answer_message(end)

    def _publish(self, goal: ServerGoalHandle, look: Look) -> None:
        if goal.is_active:
            goal.publish_feedback(feedback_of(look))
        if self._count_listeners():  # who listens may be gone before the timer's next look
            self._note_listeners([key_of(goal)])

    def _look_for_listeners(self) -> None:
        """Gives up the watches that have been listened to when all who listened are gone."""
        if self._count_listeners():
            self._note_listeners(list(self._begun))
            return
        for one in list(self._begun.values()):
            if one.listened:
                one.served.watcher.stop(one.watch, GarError(ErrorCode.CANCELLED, DESERTED))

    def _count_listeners(self) -> int:
        return int(self._node.count_subscribers(self._feedback))

    def _note_listeners(self, goals: list[bytes]) -> None:
        with self._lock:
            for key in goals:
                if (one := self._begun.get(key)) is not None:
                    self._begun[key] = one._replace(listened=True)


def request_of(goal: WatchRegions.Goal) -> WatchRequest:
    """The request of a goal."""
    return WatchRequest(
        region_ids=tuple(goal.region_ids),
        timeout=goal.timeout,
        question=goal.text,
        choices=tuple(goal.choices),
        words=tuple(goal.words),
        expected=goal.expected,
        least_probability=goal.least_probability,
        hold=goal.hold,
        rate=goal.rate,
    )


def feedback_of(look: Look) -> WatchRegions.Feedback:
    """The feedback of one look."""
    return WatchRegions.Feedback(
        stamp=stamp_message(look.stamp_ns),
        region_ids=list(look.region_ids),
        probabilities=[float(p) for p in look.probabilities],
        holds=look.holds,
        since=stamp_message(look.since_ns),
        looks=look.looks,
    )
