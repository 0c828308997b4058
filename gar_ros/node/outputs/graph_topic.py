# SPDX-License-Identifier: Apache-2.0
"""The scene graph as a latched topic, made while the model has nothing else to do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rclpy.node import Node

from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.scene_graph import SceneGraph
from gar_ros.messages.answers import graph_message
from gar_ros.node.endpoints import GRAPH
from gar_ros.node.outputs.periodic import PeriodicOutput
from gar_ros.node.qos import publisher
from gar_ros.serving.scene_graph import Grapher, GraphRequest
from gar_ros.serving.worker import Worker

_QUIET = (ErrorCode.NOT_ACTIVE, ErrorCode.CANCELLED, ErrorCode.NO_FRAME, ErrorCode.STALE_FRAME)
"""What is no news here: others say it."""


class GraphTopic(PeriodicOutput):
    """Publishes the graph of the newest pair while someone subscribes and the worker is idle."""

    def __init__(
        self,
        node: Node,
        rate: float,
        frames: FrameMemory,
        worker: Worker,
        grapher: Grapher,
        on_graph: Callable[[SceneGraph], None],
        lifetime: ExitStack,
    ) -> None:
        """rate: graphs a second at most; 0: none. on_graph: told every graph. The topic exists until `lifetime` ends.

        Raises GarError INVALID_REQUEST for a QoS override that is none.
        """
        super().__init__(node, rate)
        self._frames, self._worker, self._grapher, self._on_graph = frames, worker, grapher, on_graph
        self._publisher = publisher(node, GRAPH, lifetime, latched=True)
        self._stamp_ns = 0

    def _look(self) -> None:
        frame = self._frames.newest(with_regions=True)
        wanted = self._publisher.get_subscription_count() > 0 and self._worker.idle
        if frame is None or frame.stamp_ns == self._stamp_ns or not wanted:
            return
        try:
            graph = self._grapher.graph(GraphRequest(), should_stop=lambda: self._worker.has_waiting)
        except GarError as error:
            if error.code not in _QUIET:
                self._node.get_logger().warning(f"{GRAPH.name}: {error.message}", throttle_duration_sec=10.0)
            return
        self._stamp_ns = graph.stamp_ns
        self._on_graph(graph)
        self._publisher.publish(graph_message(graph))
