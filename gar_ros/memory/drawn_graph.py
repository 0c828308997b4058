# SPDX-License-Identifier: Apache-2.0
"""Which relations are drawn: those of the newest scene graph, until the next one comes or is long overdue."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gar_ros.memory.scene_graph import Relation, SceneGraph

_PERIODS = 3


class DrawnGraph:
    """Keeps one graph for three periods after it came. One thread may show graphs while another one draws."""

    def __init__(self, period: float, clock: Callable[[], float] = time.monotonic) -> None:
        """period: seconds between graphs when nothing delays them. clock: returns steady seconds."""
        self._period, self._clock = period, clock
        self._kept: tuple[SceneGraph, float] | None = None
        """The graph, and until when it is drawn."""

    def show(self, graph: SceneGraph, complete: bool) -> None:
        """Draws a new graph from now on. complete: False when its making was interrupted: it lacks relations, so the
        graph before it stays while there is one.

        A graph that took longer than a period to make is kept for three times that long, as the next one takes as long.
        """
        now = self._clock()
        if not complete and self._kept is not None and now < self._kept[1]:
            return
        self._kept = graph, now + _PERIODS * max(self._period, graph.latency_ns * 1e-9)

    def relations(self, predicates: Sequence[str]) -> tuple[Relation, ...]:
        """The relations to draw now that have one of these predicates."""
        kept = self._kept
        if kept is None or self._clock() >= kept[1]:
            return ()
        return tuple(one for one in kept[0].relations if one.predicate in predicates)
