"""The action: a goal is accepted at once, hears its answer while it is written, and gets exactly one result."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from rclpy.action.server import ActionServer, CancelResponse, ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from gar_ros.action import AskRegions
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.answers import AnswerRecord
from gar_ros.messages.answers import answer_message
from gar_ros.node.api.services import query_of
from gar_ros.node.endpoints import ASK
from gar_ros.serving.server import Server
from gar_ros.serving.statistics import RequestStatistics
from gar_ros.serving.worker import Job

_CANCELLED = "the goal was cancelled"
_DESERTED = "nobody listens to the goal any more"
_TRANSITION_SECONDS = 2.0
"""rclpy marks a goal as cancelled after the callback that accepts it."""


class Actions:
    """Serves goals from the node's start to its end, with a refusal as result while the node doesn't serve.

    Goals wait for the model each in a thread of the executor.
    """

    def __init__(self, node: Node, statistics: RequestStatistics) -> None:
        """statistics: told every result."""
        self._statistics = statistics
        self._node = node
        self._logger = node.get_logger()
        self._server: Server | None = None
        self._refusal = GarError(ErrorCode.NOT_ACTIVE, "the node is not active: it was not configured yet")
        self._on_answer: Callable[[AnswerRecord], None]
        self._jobs: dict[bytes, Job[str, AnswerRecord]] = {}
        self._feedback = node.resolve_topic_name(f"{ASK.name}/_action/feedback")
        self._action = ActionServer(
            node,
            ASK.type,
            ASK.name,
            execute_callback=self._execute,
            cancel_callback=self._cancel,
            callback_group=ReentrantCallbackGroup(),
        )

    def serve(self, server: Server, on_answer: Callable[[AnswerRecord], None]) -> None:
        """Lets `server` answer from now on. on_answer: told every answer given."""
        self._on_answer = on_answer
        self._server = server

    def stop_serving(self, refusal: GarError) -> None:
        """Ends every later goal with `refusal`."""
        self._server = None
        self._refusal = refusal

    def close(self) -> None:
        """Frees the action's topics and services."""
        self._action.destroy()

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        job = self._jobs.get(_key(goal))
        if job is not None:
            job.stop(GarError(ErrorCode.CANCELLED, _CANCELLED))
        return CancelResponse.ACCEPT

    def _execute(self, goal: ServerGoalHandle) -> AskRegions.Result:
        """Waits for the answer. What goes wrong becomes error_code and error_msg of an aborted or cancelled goal."""
        result, arrival = AskRegions.Result(), time.monotonic()
        try:
            answered = self._answer(goal)
            self._on_answer(answered)
            result.answer = answer_message(answered)
            goal.succeed()
        except GarError as error:
            self._end(goal, result, error)
        except Exception as error:  # noqa: BLE001 a planner must hear of a defect, not wait for its timeout
            self._logger.error(traceback.format_exc())
            text = f"{type(error).__name__}: {error}; see the node's log"
            self._end(goal, result, GarError(ErrorCode.INTERNAL_ERROR, text))
        finally:
            self._jobs.pop(_key(goal), None)
        self._statistics.add(ErrorCode(result.error_code), time.monotonic() - arrival)
        return result

    def _answer(self, goal: ServerGoalHandle) -> AnswerRecord:
        server = self._server
        if server is None:
            raise GarError(self._refusal.code, self._refusal.message)
        job = server.begin(query_of(goal.request.question))
        self._jobs[_key(goal)] = job
        if goal.is_cancel_requested:  # it came before there was a job
            job.stop(GarError(ErrorCode.CANCELLED, _CANCELLED))
        self._pass_on(goal, job)
        return job.result()

    def _pass_on(self, goal: ServerGoalHandle, job: Job[str, AnswerRecord]) -> None:
        """Publishes the text while it is written; gives the job up when all who listened are gone."""
        text, listened = "", False
        for tokens, added in enumerate(job.items(), 1):
            text += added
            listeners = self._node.count_subscribers(self._feedback)
            if listened and listeners == 0:
                job.stop(GarError(ErrorCode.CANCELLED, _DESERTED))
            listened = listened or listeners > 0
            if goal.is_active:
                goal.publish_feedback(AskRegions.Feedback(text=text, added=added, generated_tokens=tokens))

    def _end(self, goal: ServerGoalHandle, result: AskRegions.Result, error: GarError) -> None:
        result.error_code, result.error_msg = int(error.code), error.message
        if error.message == _CANCELLED:
            deadline = time.monotonic() + _TRANSITION_SECONDS
            while not goal.is_cancel_requested and time.monotonic() < deadline:
                time.sleep(0.002)
        if goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()


def _key(goal: ServerGoalHandle) -> bytes:
    return bytes(goal.goal_id.uuid)
