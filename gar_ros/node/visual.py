"""What people see of the node: the overlay picture and the latched answers."""

from __future__ import annotations

import threading

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.timer import Timer

from gar_ros.errors import GarError
from gar_ros.memory.answers import Answered, AnswerMemory
from gar_ros.memory.frames import Frame, FrameMemory
from gar_ros.msg import AnswerArray
from gar_ros.node.convert import answer_message, header_message, image_message
from gar_ros.node.interface import ANSWERS, OVERLAY
from gar_ros.node.serving import askable
from gar_ros.node.settings import Settings
from gar_ros.view.overlay import draw_overlay


class Visual:
    """Publishes while it exists; draws only while the overlay has subscribers and `start` was called."""

    def __init__(self, node: Node, settings: Settings, frames: FrameMemory) -> None:
        self._node = node
        self._settings = settings
        self._frames = frames
        self._answers = AnswerMemory(settings.answers_kept)
        self._publishing = threading.Lock()
        self._closed = False
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._answer_publisher = node.create_publisher(ANSWERS.type, ANSWERS.name, latched)
        self._overlay_publisher = node.create_publisher(OVERLAY.type, OVERLAY.name, QoSProfile(depth=1))
        self._timer: Timer | None = None
        self._drawn: tuple[Frame, dict[str, str]] | None = None

    def start(self) -> None:
        """Draws from now on."""
        if self._settings.overlay_rate > 0:
            self._timer = self._node.create_timer(
                1.0 / self._settings.overlay_rate,
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
        self._node.destroy_publisher(self._overlay_publisher)

    def answered(self, answered: Answered) -> None:
        """Publishes a new answer with the earlier ones; one that comes after the end is only for its asker."""
        with self._publishing:
            if self._closed:
                return
            self._answers.add(answered)
            messages = [answer_message(answered) for answered in self._answers.all()]
            self._answer_publisher.publish(AnswerArray(answers=messages))

    def _draw(self) -> None:
        if self._overlay_publisher.get_subscription_count() == 0:
            return
        frame = self._newest()
        captions = self._answers.captions()
        if frame is None or self._drawn == (frame, captions):
            return
        self._drawn = (frame, captions)
        try:
            picture = draw_overlay(frame.image, askable(frame), captions)
        except GarError as error:
            self._node.get_logger().warning(f"overlay: {error.message}", throttle_duration_sec=10.0)
            return
        header = header_message(frame.frame_id, frame.stamp_ns)
        self._overlay_publisher.publish(image_message(picture, "rgb8", header))

    def _newest(self) -> Frame | None:
        """The newest pair; the newest image where pairs have stopped."""
        pair, image = self._frames.newest(with_regions=True), self._frames.newest(with_regions=False)
        if pair is None or image is None:
            return image
        return pair if image.stamp_ns - pair.stamp_ns < self._settings.max_age * 1e9 else image
