# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the `gar` node that keeps what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.action.server import ActionServer, ServerGoalHandle
from rclpy.executors import SingleThreadedExecutor

from gar_ros.action import AskRegions
from gar_ros.errors import ErrorCode
from gar_ros.msg import Answer
from gar_ros.node.endpoints import ASK, DESCRIBE, FIND, GET_GRAPH, QUERY
from gar_ros.node.qos import REQUESTS


class Recorder:
    """A node named gar that keeps the requests it receives and replies to each with `reply`.

    Goals get `feedback`, texts so far, and the result's `text`.
    """

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.reply: int = ErrorCode.OK
        self.feedback: Sequence[str] = ()
        self.text = ""
        self._node = rclpy.create_node("gar")
        for endpoint in (QUERY, DESCRIBE, GET_GRAPH, FIND):
            self._node.create_service(endpoint.type, endpoint.name, self._serve, qos_profile=REQUESTS)
        self._action = ActionServer(
            self._node,
            ASK.type,
            ASK.name,
            self._execute,
            goal_service_qos_profile=REQUESTS,
            result_service_qos_profile=REQUESTS,
        )
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._action.destroy()
        self._node.destroy_node()

    def _serve(self, request: Any, response: Any) -> Any:
        self.received.append(request)
        response.error_code, response.error_msg = int(self.reply), getattr(self.reply, "name", "").lower()
        return response

    def _execute(self, goal: ServerGoalHandle) -> Any:
        for text in self.feedback:
            goal.publish_feedback(AskRegions.Feedback(text=text))
        goal.succeed()
        return self._serve(goal.request, AskRegions.Result(answer=Answer(text=self.text)))


@contextmanager
def recording() -> Iterator[Recorder]:
    """One that replies until the context ends."""
    recorder = Recorder()
    try:
        yield recorder
    finally:
        recorder.close()
