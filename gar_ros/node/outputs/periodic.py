# SPDX-License-Identifier: Apache-2.0
"""The base of the outputs that look again and again whether there is something to publish."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack

from gar_ros.node.guard import GuardedNode
from gar_ros.node.timers import every


class PeriodicOutput(ABC):
    """Publishes from `start` to the end of the lifetime given there; may be started again after it."""

    def __init__(self, node: GuardedNode, rate: float, name: str) -> None:
        """rate: looks a second; 0: never publishes. name: of its topic, in what log and diagnostics say of it."""
        self._node, self._rate, self._name = node, rate, name

    def start(self, lifetime: ExitStack) -> None:
        """Looks from now on until `lifetime` ends; what was latched stays."""
        if self._rate:
            every(self._node, 1 / self._rate, self._node.doors.guard(self._name, self._look), lifetime)

    def look_now(self) -> None:
        """Looks once more, now; may be called by any thread."""
        if self._rate:
            self._node.doors.guard(self._name, self._look)()

    @abstractmethod
    def _look(self) -> None:
        """Publishes what is new, if somebody wants it. What it raises is told once, and it is called again."""
