# SPDX-License-Identifier: Apache-2.0
"""The scene graph as a latched topic and for the arrows in rviz, made while the model has nothing else to do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.frames import FrameMemory
from gar_ros.messages.answers import graph_message
from gar_ros.node.endpoints import GRAPH, Camera
from gar_ros.node.guard import GuardedNode
from gar_ros.node.outputs.periodic import PeriodicOutput
from gar_ros.node.outputs.space import SpaceTopics
from gar_ros.node.qos import publisher
from gar_ros.serving.scene_graph import Grapher, GraphRequest
from gar_ros.serving.worker import Worker, background
from gar_ros.settings import Settings

_QUIET = (ErrorCode.NOT_ACTIVE, ErrorCode.CANCELLED, ErrorCode.NO_FRAME, ErrorCode.STALE_FRAME)
"""What is no news here: others say it."""


class GraphTopic(PeriodicOutput):
    """Makes the graph of the newest pair while someone subscribes to it or looks at its drawing and the worker is idle.

    For a drawing alone only the predicates that are drawn are asked, and nothing is published.
    """

    def __init__(
        self,
        node: GuardedNode,
        settings: Callable[[], Settings],
        frames: FrameMemory,
        worker: Worker,
        grapher: Grapher,
        space: SpaceTopics,
        lifetime: ExitStack,
        camera: Camera,
        between: Callable[[], None],
    ) -> None:
        """settings: returns the current parameters. space: draws every graph. between: called in the model's thread
        between a graph's questions, for what is more urgent and takes one of its own. The topic exists until
        `lifetime` ends.

        Raises GarError INVALID_REQUEST for a QoS override that is none.
        """
        super().__init__(node, settings().graph.rate, camera.of(GRAPH).name)
        self._frames, self._worker, self._grapher, self._space = frames, worker, grapher, space
        self._between = between
        self._settings, self._caller = settings, background(camera.name)
        self._publisher = publisher(node, camera.of(GRAPH), lifetime, latched=True)
        self._made: tuple[int, tuple[str, ...]] | None = None
        self._told: tuple[str, ...] = ()

    def _look(self) -> None:
        frame = self._frames.newest(with_regions=True)
        published = self._publisher.get_subscription_count() > 0
        predicates = self._predicates(published)
        if frame is None or not predicates or self._made == (frame.stamp_ns, predicates):
            return
        if not self._worker.is_idle_for(self._caller):
            return
        interrupted = False

        def should_stop() -> bool:
            nonlocal interrupted
            interrupted = interrupted or self._worker.has_requests
            if not interrupted:
                self._between()
            return interrupted

        try:
            request = GraphRequest(predicates=() if published else predicates, caller=self._caller)
            graph = self._grapher.graph(request, should_stop)
        except GarError as error:
            if error.code in _QUIET:
                return
            raise
        self._made = graph.stamp_ns, predicates
        self._space.show_relations(graph, complete=not interrupted)
        if published:
            self._publisher.publish(graph_message(graph))

    def _predicates(self, published: bool) -> tuple[str, ...]:
        """What to ask now: all for subscribers, what is drawn for a drawing, nothing when nobody wants a graph."""
        drawn = self._drawn_predicates() if self._space.draws_relations else ()
        return self._settings().graph.predicates if published else drawn

    def _drawn_predicates(self) -> tuple[str, ...]:
        """Those of `markers.predicates` that graphs have. Warns of the others, once as long as they are the same."""
        settings = self._settings()
        known, named = settings.graph.predicates, tuple(dict.fromkeys(settings.markers.predicates))
        missing = tuple(one for one in named if one not in known)
        if missing not in ((), self._told):
            self._node.get_logger().warning(
                f"markers.predicates: expected predicates of graph.predicates {list(known)}, but {list(missing)} are "
                "not among them and will not be drawn; add them there or leave them out here"
            )
        self._told = missing
        return tuple(one for one in named if one in known)
