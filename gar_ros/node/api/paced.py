# SPDX-License-Identifier: Apache-2.0
"""The pace at which requests are taken, so that no client loses its reply among those to others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation

AT_ONCE = 4
"""Requests that are taken without a pause after a quiet time; clients keep 10 replies by default until they look."""

SECONDS = 0.005
SECONDS_PER_CLIENT = 0.001
"""Between two requests of a burst. A client that is written in Python needs as long for a reply, whoever it is for."""

MOST_SECONDS = 0.025


class PacedGroup(ReentrantCallbackGroup):
    """The callback group of one service or action, which spreads a burst of requests over time.

    Over DDS every client of a service receives the replies to all of them, and keeps 10 by default until it looks. A
    burst of refusals would push its own reply out. Requests that wait do so in DDS and occupy no thread.
    """

    def __init__(self, clients: Callable[[], int]) -> None:
        """clients: number of the service's clients now."""
        super().__init__()
        self._clients = clients
        self._lock = threading.Lock()
        self._paced_until = 0.0
        """Monotonic seconds; as far ahead of now as the requests taken were faster than the pace."""

    def beginning_execution(self, entity: Any) -> bool:
        """Called by the executor in the thread that is about to take a request; waits there."""
        pause = min(SECONDS + self._count() * SECONDS_PER_CLIENT, MOST_SECONDS)
        with self._lock:
            now = time.monotonic()
            self._paced_until = max(self._paced_until, now) + pause
            ahead = self._paced_until - now - AT_ONCE * pause
        time.sleep(max(ahead, 0.0))
        return super().beginning_execution(entity)

    def _count(self) -> int:
        try:
            return self._clients()
        except rclpy_implementation.InvalidHandle:  # the node is being destroyed
            return 0
