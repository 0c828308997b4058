"""The scene graph as a latched topic, made while the model has nothing else to do."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.timer import Timer

from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.scene_graph import SceneGraph
from gar_ros.messages.answers import graph_message
from gar_ros.node.endpoints import GRAPH
from gar_ros.node.inputs.subscriptions import every
from gar_ros.node.qos import publisher
from gar_ros.serving.scene_graph import Grapher, GraphRequest
from gar_ros.serving.worker import Worker

_QUIET = (ErrorCode.NOT_ACTIVE, ErrorCode.CANCELLED, ErrorCode.NO_FRAME, ErrorCode.STALE_FRAME)
"""What is no news here: others say it."""


class GraphTopic:
    """Publishes between `start` and `stop`, while someone subscribes. on_graph: told every graph."""

    def __init__(
        self, node: Node, rate: float, frames: FrameMemory, worker: Worker, on_graph: Callable[[SceneGraph], None]
    ) -> None:
        """rate: graphs a second at most; 0: none."""
        self._node, self._rate, self._frames, self._worker, self._on_graph = node, rate, frames, worker, on_graph
        self._publisher = publisher(node, GRAPH, latched=True)
        self._timer: Timer | None = None
        self._stamp_ns = 0

    def start(self, grapher: Grapher) -> None:
        """Makes graphs from now on."""
        if self._rate:
            self._timer = every(self._node, 1 / self._rate, lambda: self._make(grapher))

    def stop(self) -> None:
        """Makes no more; the last one stays latched."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def close(self) -> None:
        """Frees the topic."""
        self.stop()
        self._node.destroy_publisher(self._publisher)

    def publish(self, graph: SceneGraph) -> None:
        """Shows a graph."""
        self._stamp_ns = graph.stamp_ns
        self._on_graph(graph)
        self._publisher.publish(graph_message(graph))

    def _make(self, grapher: Grapher) -> None:
        frame = self._frames.newest(with_regions=True)
        wanted = self._publisher.get_subscription_count() > 0 and self._worker.idle
        if frame is None or frame.stamp_ns == self._stamp_ns or not wanted:
            return
        try:
            self.publish(grapher.graph(GraphRequest(), should_stop=lambda: self._worker.has_waiting))
        except GarError as error:
            if error.code not in _QUIET:
                self._node.get_logger().warning(f"{GRAPH.name}: {error.message}", throttle_duration_sec=10.0)
