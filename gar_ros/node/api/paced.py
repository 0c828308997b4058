# SPDX-License-Identifier: Apache-2.0
"""The pace at which requests are refused, so that no client loses its reply among those to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from rclpy.callback_groups import ReentrantCallbackGroup

from gar_ros.rclpy_compat import InvalidHandle

AT_ONCE = 4
"""Refusals without a pause after a quiet time."""

SECONDS = 0.01
SECONDS_PER_CLIENT = 0.001
MOST_SECONDS = 0.025
"""Of the pause after a refusal. A client in Python needs a millisecond for every reply, whoever it is for."""


class PacedGroup(ReentrantCallbackGroup):
    """The callback group of one service or action, in which a burst of refusals is spread over time.

    Over DDS every client of a service receives the replies to all of them, and keeps 10 by default until it looks.
    Refusals take no time, and a burst of them would push a client's own reply out. So after some of them the next
    request is taken a little later; those that wait do so in DDS and occupy no thread. Answers have the model's pace.
    """

    def __init__(self, clients: Callable[[], int]) -> None:
        """clients: number of the service's clients now."""
        super().__init__()
        self._clients = clients
        self._lock = threading.Lock()
        self._paced_until = 0.0
        """Monotonic seconds; as far ahead of now as refusals were faster than their pace."""

    def refused(self) -> None:
        """A request was refused."""
        with self._lock:
            self._paced_until = max(self._paced_until, time.monotonic()) + self._pause()

    def beginning_execution(self, entity: Any) -> Literal[True]:
        """Called by the executor in the thread that is about to take a request; waits there."""
        with self._lock:
            ahead = self._paced_until - time.monotonic()
            allowed = AT_ONCE * self._pause() if ahead > 0.0 else 0.0
        time.sleep(max(ahead - allowed, 0.0))
        super().beginning_execution(entity)
        return True

    def _pause(self) -> float:
        try:
            clients = self._clients()
        except InvalidHandle:  # the node is being destroyed
            clients = 0
        return min(SECONDS + clients * SECONDS_PER_CLIENT, MOST_SECONDS)
