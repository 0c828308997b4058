# SPDX-License-Identifier: Apache-2.0
"""The regions in space, for rviz: markers with their relations, and a coloured cloud."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from gar_ros.frame import Frame, askable
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.drawn_graph import DrawnGraph
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.scene_graph import Relation, SceneGraph
from gar_ros.messages.clouds import coloured_cloud
from gar_ros.messages.headers import header_message
from gar_ros.messages.markers import Markers, Placed, captions
from gar_ros.node.endpoints import CLOUD, MARKERS, Camera
from gar_ros.node.guard import GuardedNode
from gar_ros.node.outputs.overlay import frame_to_show
from gar_ros.node.outputs.periodic import PeriodicOutput
from gar_ros.node.qos import publisher
from gar_ros.region import Region
from gar_ros.settings import Settings
from gar_ros.view.colours import region_colour

_MARKER_SECONDS = 2.0
"""How long a marker stays in rviz at least when the node stops renewing it."""
_FRAMES_SEEN = 5
"""Number of last images that are drawn when those after them have no place yet."""


@dataclass
class _Drawing:
    """One topic. can_show: whether what is needed to draw a frame is there. drawn: what was drawn last."""

    topic: Publisher
    draw: Callable[[Frame, Sequence[Region], dict[str, str]], Any]
    can_show: Callable[[Frame], bool]
    drawn: tuple[Frame, dict[str, str], tuple[Relation, ...]] | None = None


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
        camera: Camera,
    ) -> None:
        """settings: returns the current parameters. answers: texts by region id. The topics live until `lifetime` ends.

        Raises GarError INVALID_REQUEST for a QoS override that is none.
        """
        super().__init__(node, settings().overlay.rate, camera.of(MARKERS).name)
        self._frames, self._depth, self._answers = frames, depth, answers
        self._settings = settings
        lifetime_seconds = max(_MARKER_SECONDS, 3 / self._rate) if self._rate else _MARKER_SECONDS
        self._markers = Markers(lifetime_seconds, z_up=bool(settings().depth.target_frame))
        self._marker_topic = publisher(node, camera.of(MARKERS), lifetime)
        self._drawings = (
            _Drawing(self._marker_topic, self._draw_markers, depth.has_places),
            _Drawing(
                publisher(node, camera.of(CLOUD), lifetime),
                self._draw_cloud,
                lambda frame: depth.surface(frame) is not None,
            ),
        )
        graph_rate = settings().graph.rate
        self._graph = DrawnGraph(1 / graph_rate if graph_rate else 0.0)
        self._seen: deque[Frame] = deque(maxlen=_FRAMES_SEEN)

    @property
    def draws_relations(self) -> bool:
        """Whether someone looks at the markers."""
        return self._rate > 0 and self._marker_topic.get_subscription_count() > 0

    def show_relations(self, graph: SceneGraph, complete: bool) -> None:
        """Draws the relations of a new scene graph from now on. complete: as for `DrawnGraph.show`."""
        self._graph.show(graph, complete)

    def _look(self) -> None:
        """Draws the newest image that can be drawn: depth and transformation of a newer one may be on their way."""
        wanted = [one for one in self._drawings if one.topic.get_subscription_count() > 0]
        frame = frame_to_show(self._frames, self._settings().request.max_age) if wanted else None
        if frame is None:
            return
        if frame not in self._seen:
            self._seen.append(frame)
        answers, relations = self._answers(), self._relations()
        for drawing in wanted:
            shown = next((one for one in reversed(self._seen) if drawing.can_show(one)), None)
            if shown is None or drawing.drawn == (shown, answers, relations):
                continue
            draw = self._node.doors.guard(drawing.topic.topic_name, self._draw)  # one that fails costs no other one
            draw(drawing, shown, answers, relations)

    def _draw(self, drawing: _Drawing, frame: Frame, answers: dict[str, str], relations: tuple[Relation, ...]) -> None:
        drawing.topic.publish(drawing.draw(frame, askable(frame), answers))
        drawing.drawn = (frame, answers, relations)

    def _draw_markers(self, frame: Frame, regions: Sequence[Region], answers: dict[str, str]) -> MarkerArray:
        texts = captions({region.id: region.label for region in regions}, answers)
        extents = self._depth.extents_now(frame, regions)
        placed = [Placed(region.id, texts[region.id], extent) for region, extent in zip(regions, extents, strict=True)]
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
