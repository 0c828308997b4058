# SPDX-License-Identifier: Apache-2.0
"""The regions in space, for rviz: markers with their relations, and a coloured cloud."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from gar_ros.errors import GarError
from gar_ros.frame import Frame, askable
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.drawn_graph import DrawnGraph
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.scene_graph import Relation, SceneGraph
from gar_ros.messages.clouds import coloured_cloud
from gar_ros.messages.headers import header_message
from gar_ros.messages.markers import Markers, Placed, captions
from gar_ros.node.endpoints import CLOUD, MARKERS
from gar_ros.node.guard import GuardedNode
from gar_ros.node.outputs.overlay import frame_to_show
from gar_ros.node.outputs.periodic import PeriodicOutput
from gar_ros.node.qos import publisher
from gar_ros.region import Region
from gar_ros.settings import Settings
from gar_ros.view.colours import region_colour

_MARKER_SECONDS = 2.0
"""How long a marker stays in rviz at least when the node stops renewing it."""


class SpaceTopics(PeriodicOutput):
    """Draws what is new and has depth while someone subscribes."""

    def __init__(
        self,
        node: GuardedNode,
        settings: Callable[[], Settings],
        frames: FrameMemory,
        depth: DepthMemory,
        answers: Callable[[], dict[str, str]],
        lifetime: ExitStack,
    ) -> None:
        """settings: returns the current parameters. answers: texts by region id. The topics live until `lifetime` ends.

        Raises GarError INVALID_REQUEST for a QoS override that is none.
        """
        super().__init__(node, settings().overlay.rate, MARKERS.name)
        self._frames, self._depth, self._answers = frames, depth, answers
        self._settings = settings
        lifetime_seconds = max(_MARKER_SECONDS, 3 / self._rate) if self._rate else _MARKER_SECONDS
        self._markers = Markers(lifetime_seconds, z_up=bool(settings().depth.target_frame))
        self._marker_topic = publisher(node, MARKERS, lifetime)
        self._drawings = (
            (self._marker_topic, self._draw_markers),
            (publisher(node, CLOUD, lifetime), self._draw_cloud),
        )
        graph_rate = settings().graph.rate
        self._graph = DrawnGraph(1 / graph_rate if graph_rate else 0.0)
        self._drawn: tuple[Frame, Frame | None, dict[str, str], tuple[Relation, ...]] | None = None
        self._before: Frame | None = None

    @property
    def draws_relations(self) -> bool:
        """Whether someone looks at the markers."""
        return self._rate > 0 and self._marker_topic.get_subscription_count() > 0

    def show_relations(self, graph: SceneGraph, complete: bool) -> None:
        """Draws the relations of a new scene graph from now on. complete: as for `DrawnGraph.show`."""
        self._graph.show(graph, complete)

    def _look(self) -> None:
        wanted = [(one, draw) for one, draw in self._drawings if one.get_subscription_count() > 0]
        frame = frame_to_show(self._frames, self._settings().request.max_age) if wanted else None
        if frame is None:
            return
        answers, shown = self._answers(), self._with_depth(frame)
        drawn = (frame, shown, answers, self._relations())
        if self._drawn == drawn:
            return
        self._drawn = drawn
        if shown is None:
            return
        for topic, draw in wanted:
            try:
                topic.publish(draw(shown, askable(shown), answers))
            except GarError as error:
                what = f"{topic.topic_name}: {error.message}"
                self._node.get_logger().warning(what, throttle_duration_sec=10.0)

    def _with_depth(self, frame: Frame) -> Frame | None:
        """The newest one with depth of `frame`, whose depth may be on its way, and the frame drawn before it."""
        if self._drawn is not None and self._drawn[0] is not frame:
            self._before = self._drawn[0]
        candidates = (one for one in (frame, self._before) if one is not None)
        return next((one for one in candidates if self._depth.surface(one) is not None), None)

    def _draw_markers(self, frame: Frame, regions: Sequence[Region], answers: dict[str, str]) -> MarkerArray:
        texts = captions({region.id: region.label for region in regions}, answers)
        placed = [Placed(region.id, texts[region.id], self._depth.extent(frame, region)) for region in regions]
        return self._markers.update(placed, self._relations())

    def _relations(self) -> tuple[Relation, ...]:
        return self._graph.relations(self._settings().markers.predicates)

    def _draw_cloud(self, frame: Frame, regions: Sequence[Region], answers: dict[str, str]) -> PointCloud2:
        surface = self._depth.surface(frame)
        if surface is None:  # forgotten meanwhile
            header = header_message(frame.frame_id, frame.stamp_ns)
            return coloured_cloud(np.empty((0, 3)), np.empty((0, 3), np.uint8), header)
        points = [self._depth.points(surface, region) for region in regions]
        colours = [
            np.tile(np.array(region_colour(region.id), np.uint8), (len(found), 1))
            for region, found in zip(regions, points, strict=True)
        ]
        return coloured_cloud(
            np.concatenate([np.empty((0, 3)), *points]),
            np.concatenate([np.empty((0, 3), np.uint8), *colours]),
            header_message(surface.frame_id, surface.stamp_ns),
        )
