# SPDX-License-Identifier: Apache-2.0
"""The newest image with its regions and answers drawn on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from gar_ros.frame import Frame, askable
from gar_ros.memory.frames import FrameMemory
from gar_ros.messages.headers import header_message
from gar_ros.messages.images import image_message
from gar_ros.node.endpoints import OVERLAY, Camera
from gar_ros.node.guard import GuardedNode
from gar_ros.node.outputs.periodic import PeriodicOutput
from gar_ros.node.qos import publisher
from gar_ros.settings import Settings
from gar_ros.view.overlay import draw_overlay


class OverlayTopic(PeriodicOutput):
    """Draws what is new while someone subscribes."""

    def __init__(
        self,
        node: GuardedNode,
        settings: Callable[[], Settings],
        frames: FrameMemory,
        captions: Callable[[], dict[str, str]],
        lifetime: ExitStack,
        camera: Camera,
    ) -> None:
        """settings: returns the current parameters. captions: answers by id. The topic lives until `lifetime` ends.

        Raises GarError INVALID_REQUEST for a QoS override that is none.
        """
        super().__init__(node, settings().overlay.rate, camera.of(OVERLAY).name)
        self._frames, self._captions, self._settings = frames, captions, settings
        self._publisher = publisher(node, camera.of(OVERLAY), lifetime)
        self._drawn: tuple[Frame, dict[str, str]] | None = None

    def _look(self) -> None:
        if not self._publisher.get_subscription_count():
            return
        frame = frame_to_show(self._frames, self._settings().request.max_age)
        if frame is None:
            return
        drawn = (frame, self._captions())
        if self._drawn == drawn:
            return
        picture = draw_overlay(frame.image, askable(frame), drawn[1])
        self._publisher.publish(image_message(picture, "rgb8", header_message(frame.frame_id, frame.stamp_ns)))
        self._drawn = drawn


def frame_to_show(frames: FrameMemory, max_age: float) -> Frame | None:
    """The newest image with regions; the newest image where it is `max_age` seconds newer or none has regions."""
    pair, image = frames.newest(with_regions=True), frames.newest(with_regions=False)
    if pair is None or image is None:
        return image
    return pair if image.stamp_ns - pair.stamp_ns < max_age * 1e9 else image
