"""What people see of the node: the overlay picture, markers and cloud in space, and the latched answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.timer import Timer
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from gar_ros.errors import GarError
from gar_ros.frame import Frame, askable
from gar_ros.memory.answers import AnswerMemory, AnswerRecord
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.scene_graph import Relation, SceneGraph
from gar_ros.messages.answers import answer_message
from gar_ros.messages.clouds import coloured_cloud
from gar_ros.messages.headers import header_message
from gar_ros.messages.images import image_message
from gar_ros.messages.markers import Markers, Placed, captions
from gar_ros.msg import AnswerArray
from gar_ros.node.endpoints import ANSWERS, CLOUD, MARKERS, OVERLAY
from gar_ros.node.qos import publisher
from gar_ros.region import Region
from gar_ros.settings import Settings
from gar_ros.view.colours import region_colour
from gar_ros.view.overlay import draw_overlay

_LIFETIME = 2.0
"""Seconds that a marker stays in rviz when the node stops renewing it."""


@dataclass(frozen=True)
class _Drawing:
    publisher: Publisher
    draw: Callable[[Frame, Sequence[Region], dict[str, str]], Any]
    in_space: bool  # needs depth


class Visual:
    """Publishes while it exists; draws only what has subscribers, once `start` was called."""

    def __init__(self, node: Node, settings: Settings, frames: FrameMemory, depth: DepthMemory) -> None:
        self._node = node
        self._settings = settings
        self._frames = frames
        self._depth = depth
        self._markers = Markers(_LIFETIME, z_up=bool(settings.depth.target_frame))
        self._answers = AnswerMemory(settings.memory.answers_kept)
        self._publishing = threading.Lock()
        self._closed = False
        self._answer_publisher = publisher(node, ANSWERS, latched=True)
        self._overlay_publisher = publisher(node, OVERLAY)
        self._marker_publisher = publisher(node, MARKERS)
        self._cloud_publisher = publisher(node, CLOUD)
        self._drawings = (
            _Drawing(self._overlay_publisher, self._overlay, in_space=False),
            _Drawing(self._marker_publisher, self._in_space, in_space=True),
            _Drawing(self._cloud_publisher, self._cloud, in_space=True),
        )
        self._timer: Timer | None = None
        self._graph: SceneGraph | None = None
        self._drawn: tuple[Frame, Frame | None, dict[str, str], SceneGraph | None] | None = None
        self._before: Frame | None = None

    def start(self) -> None:
        """Draws from now on."""
        if self._settings.overlay.rate > 0:
            self._timer = self._node.create_timer(
                1.0 / self._settings.overlay.rate,
                self._draw,
                callback_group=MutuallyExclusiveCallbackGroup(),
                clock=Clock(clock_type=ClockType.STEADY_TIME),
            )

    def stop(self) -> None:
        """Draws no more; the answers stay latched."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def close(self) -> None:
        """Frees the topics."""
        self.stop()
        with self._publishing:
            self._closed = True
            self._node.destroy_publisher(self._answer_publisher)
        for drawing in self._drawings:
            self._node.destroy_publisher(drawing.publisher)

    def answered(self, answered: AnswerRecord) -> None:
        """Publishes a new answer with the earlier ones; one that comes after the end is only for its asker."""
        with self._publishing:
            if self._closed:
                return
            self._answers.add(answered)
            messages = [answer_message(answered) for answered in self._answers.all()]
            self._answer_publisher.publish(AnswerArray(answers=messages))

    def related(self, graph: SceneGraph) -> None:
        """Draws the relations of a new scene graph from now on."""
        self._graph = graph

    def _draw(self) -> None:
        wanted = [one for one in self._drawings if one.publisher.get_subscription_count() > 0]
        frame = self._newest() if wanted else None
        if frame is None:
            return
        answers, placed = self._answers.captions(), self._placed(frame)
        drawn = (frame, placed, answers, self._graph)
        if self._drawn == drawn:
            return
        self._drawn = drawn
        for drawing in wanted:
            shown = placed if drawing.in_space else frame
            if shown is None:
                continue
            try:
                drawing.publisher.publish(drawing.draw(shown, askable(shown), answers))
            except GarError as error:
                what = f"{drawing.publisher.topic_name}: {error.message}"
                self._node.get_logger().warning(what, throttle_duration_sec=10.0)

    def _placed(self, frame: Frame) -> Frame | None:
        """The newest one with depth of `frame`, whose depth may be on its way, and the frame drawn before it."""
        if self._drawn is not None and self._drawn[0] is not frame:
            self._before = self._drawn[0]
        candidates = (one for one in (frame, self._before) if one is not None)
        return next((one for one in candidates if self._depth.surface(one) is not None), None)

    def _overlay(self, frame: Frame, regions: Sequence[Region], answers: dict[str, str]) -> Image:
        picture = draw_overlay(frame.image, regions, answers)
        return image_message(picture, "rgb8", _header(frame))

    def _in_space(self, frame: Frame, regions: Sequence[Region], answers: dict[str, str]) -> MarkerArray:
        texts = captions({region.id: region.label for region in regions}, answers)
        placed = [Placed(region.id, texts[region.id], self._depth.extent(frame, region)) for region in regions]
        return self._markers.update(placed, self._relations(frame))

    def _relations(self, frame: Frame) -> tuple[Relation, ...]:
        """Those of the newest scene graph, unless it is too old for this frame."""
        graph = self._graph
        if graph is None or abs(frame.stamp_ns - graph.stamp_ns) > self._settings.request.max_age * 1e9:
            return ()
        return graph.relations

    def _cloud(self, frame: Frame, regions: Sequence[Region], answers: dict[str, str]) -> PointCloud2:
        surface = self._depth.surface(frame)
        if surface is None:  # forgotten meanwhile
            return coloured_cloud(np.empty((0, 3)), np.empty((0, 3), np.uint8), _header(frame))
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

    def _newest(self) -> Frame | None:
        """The newest pair; the newest image where pairs have stopped."""
        pair, image = self._frames.newest(with_regions=True), self._frames.newest(with_regions=False)
        if pair is None or image is None:
            return image
        return pair if image.stamp_ns - pair.stamp_ns < self._settings.request.max_age * 1e9 else image


def _header(frame: Frame) -> Header:
    return header_message(frame.frame_id, frame.stamp_ns)
