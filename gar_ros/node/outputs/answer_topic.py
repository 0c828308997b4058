# SPDX-License-Identifier: Apache-2.0
"""The newest answers as a latched topic."""

from __future__ import annotations

import threading
from contextlib import ExitStack

from rclpy.node import Node

from gar_ros.memory.answers import AnswerMemory, AnswerRecord
from gar_ros.messages.answers import answer_message
from gar_ros.msg import AnswerArray
from gar_ros.node.endpoints import ANSWERS, Camera
from gar_ros.node.qos import publisher


class AnswerTopic:
    """Remembers and publishes answers until its lifetime ends; one that comes later is only for its asker."""

    def __init__(self, node: Node, kept: int, lifetime: ExitStack, camera: Camera) -> None:
        """kept: number of newest answers. Raises GarError INVALID_REQUEST for a QoS override that is none."""
        self._answers = AnswerMemory(kept)
        self._publishing = threading.Lock()
        self._ended = False
        self._publisher = publisher(node, camera.of(ANSWERS), lifetime, latched=True)
        lifetime.callback(self._end)

    def publish(self, answered: AnswerRecord) -> None:
        """Publishes a new answer with the earlier ones; called from many threads."""
        with self._publishing:
            if self._ended:
                return
            self._answers.add(answered)
            self._publisher.publish(AnswerArray(answers=[answer_message(one) for one in self._answers.all()]))

    def captions(self) -> dict[str, str]:
        """The newest answer's text by region id."""
        return self._answers.captions()

    def _end(self) -> None:
        with self._publishing:
            self._ended = True
