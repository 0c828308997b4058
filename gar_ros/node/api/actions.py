# SPDX-License-Identifier: Apache-2.0
"""The action: a goal is accepted at once, hears its answer while it is written, and gets exactly one result."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from rclpy.action.server import CancelResponse, ServerGoalHandle
from rclpy.node import Node

from gar_ros.action import AskRegions
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.answers import AnswerRecord
from gar_ros.messages.answers import answer_message
from gar_ros.node.api.callers import REQUEST_NUMBER, Callers
from gar_ros.node.api.gate import Gate, Served
from gar_ros.node.api.goals import CANCELLED, DESERTED, Goals, end_unmet, key_of
from gar_ros.node.api.services import query_of
from gar_ros.node.endpoints import ASK, Camera
from gar_ros.serving.fair_queue import Caller
from gar_ros.serving.worker import Job


class Actions(Goals):
    """Accepts goals until `refuse_goals`, with a refusal as result while the gate is closed.

    Goals wait for the model each in a thread of the executor.
    """

    def __init__(self, node: Node, gate: Gate, lifetime: ExitStack, camera: Camera) -> None:
        """The action exists until `lifetime` ends."""
        self._camera = camera
        self._jobs: dict[bytes, Job[str, AnswerRecord]] = {}
        self._clients = Callers()
        self._callers: dict[bytes, Caller] = {}
        super().__init__(node, gate, camera.of(ASK), lifetime)

    def _begin(self, goal: ServerGoalHandle) -> None:
        self._owed.accepted(key_of(goal))
        self._callers[key_of(goal)] = Caller("goals", self._clients.client_of(REQUEST_NUMBER.get()), self._camera.name)
        goal.execute()

    def _cancel(self, goal: ServerGoalHandle) -> CancelResponse:
        job = self._jobs.get(key_of(goal))
        if job is not None:
            job.stop(GarError(ErrorCode.CANCELLED, CANCELLED))
        return CancelResponse.ACCEPT

    def _execute(self, goal: ServerGoalHandle) -> AskRegions.Result:
        """Waits for the answer. What goes wrong becomes error_code and error_msg of an aborted or cancelled goal."""
        result = AskRegions.Result()
        try:
            error = self._gate.reply(partial(self._answer, goal), result)
            if error is None:
                goal.succeed()
            else:
                self._paced.refused()
                end_unmet(goal, error)
        finally:
            self._jobs.pop(key_of(goal), None)
            self._callers.pop(key_of(goal), None)
            self._owed.ended(key_of(goal))
        return result

    def _answer(self, goal: ServerGoalHandle, served: Served, result: AskRegions.Result) -> None:
        job = served.server.begin(query_of(goal.request.question, self._callers[key_of(goal)]))
        self._jobs[key_of(goal)] = job
        if goal.is_cancel_requested:  # it came before there was a job
            job.stop(GarError(ErrorCode.CANCELLED, CANCELLED))
        self._pass_on(goal, job)
        record = job.result()
        served.on_answer(record)
        result.answer = answer_message(record)

    def _pass_on(self, goal: ServerGoalHandle, job: Job[str, AnswerRecord]) -> None:
        """Publishes the text while it is written; gives the job up when all who listened are gone."""
        text, listened = "", False
        for tokens, added in enumerate(job.items(), 1):
            text += added
            listeners = self._node.count_subscribers(self._feedback)
            if listened and listeners == 0:
                job.stop(GarError(ErrorCode.CANCELLED, DESERTED))
            listened = listened or listeners > 0
            if goal.is_active:
                goal.publish_feedback(AskRegions.Feedback(text=text, added=added, generated_tokens=tokens))
