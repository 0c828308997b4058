"""Subscriptions to camera and detector; their messages become frames in the memory."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.depth import Places
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.messages.convert import frame_of, stamp_ns
from gar_ros.messages.detections import message_type
from gar_ros.messages.images import check_colour
from gar_ros.messages.pairing import make_pairing
from gar_ros.messages.region_builder import RegionBuilder
from gar_ros.messages.regions import LabelRegions
from gar_ros.node.endpoints import IMAGE, INSTANCES, REGIONS, Endpoint
from gar_ros.node.inputs.health import Stream, why_unpaired
from gar_ros.node.inputs.subscriptions import Subscriptions
from gar_ros.node.timers import every
from gar_ros.settings import Settings

CLOCK_JUMP_NS = 1_000_000_000
"""A stamp that much before the newest one means that time has restarted (a bag loops, a simulator was reset)."""


_ARRAY_SECONDS = 2.0
"""Label images are left alone for this long after a RegionArray came."""


class Inputs:
    """Subscribes until its lifetime ends. Callbacks pair and remember messages; pixels are converted when needed."""

    def __init__(
        self,
        node: Node,
        settings: Settings,
        frames: FrameMemory,
        places: Places,
        tracks: TrackMemory,
        lifetime: ExitStack,
    ) -> None:
        """Raises GarError INVALID_REQUEST for a QoS override that is no policy."""
        self._tracks = tracks
        self._last_array = -math.inf  # monotonic seconds
        self._node = node
        self._settings = settings
        self._slop_ns = None if settings.sync.policy == "exact" else round(settings.sync.slop * 1e9)
        self._frames = frames
        self._places = places
        self._image, self._regions = IMAGE, REGIONS._replace(type=message_type(settings.input.regions_type))
        if settings.input.image_transport == "compressed":
            # As image_transport names it: after the base topic's remapping.
            topic = f"{node.resolve_topic_name(IMAGE.name)}/compressed"
            self._image = IMAGE._replace(name=topic, type=CompressedImage)
        self._builder = RegionBuilder(settings.input.regions_type, settings.input.regions_masks)
        self._streams = {
            endpoint: Stream(node.resolve_topic_name(endpoint.name))
            for endpoint in (self._image, self._regions, INSTANCES)
        }
        self._pairings = self._new_pairings()
        self._last_pair: float | None = None
        self._following = threading.Lock()
        self._crowded: set[Endpoint] = set()
        self.images = self.pairs = 0
        """That have come since activation."""
        self._warned = ""
        callbacks: dict[Endpoint, Callable[[Any], None]] = {
            self._image: self._on_image,
            self._regions: partial(self._on_detections, self._regions),
            INSTANCES: partial(self._on_detections, INSTANCES),
        }
        Subscriptions(node, callbacks, settings.input.reliability, self._on_incompatible, lifetime)
        every(node, settings.input.check_period, self._warn, lifetime)

    def trouble(self, quiet: float = 1.0) -> str:
        """Why no pairs have arrived for `quiet` seconds, or not yet; empty when some have."""
        now = time.monotonic()
        if self._last_pair is not None and now - self._last_pair < quiet:
            return ""
        for stream in self._streams.values():
            stream.publishers = self._node.count_publishers(stream.topic)
        detections = [self._streams[self._regions], self._streams[INSTANCES]]
        return why_unpaired(self._streams[self._image], detections, self._slop_ns, now, quiet)

    def _new_pairings(self) -> dict[Endpoint, Any]:
        return {
            endpoint: make_pairing(self._settings.sync.queue_size, self._slop_ns, partial(self._on_pair, endpoint))
            for endpoint in (self._regions, INSTANCES)
        }

    def _on_image(self, message: Image | CompressedImage) -> None:
        stream = self._streams[self._image]
        try:
            if isinstance(message, Image):
                check_colour(message)
            stamp = _checked_stamp(message)
            frame = frame_of(message)
        except GarError as error:
            stream.refused = error.message
            return
        stream.refused = ""
        if stream.stamps_ns and stamp < stream.stamps_ns[-1] - CLOCK_JUMP_NS:
            self._node.get_logger().warning(f"stamps on {stream.topic} went back in time: starting over")
            self._frames.clear()
            self._places.clear()
            self._tracks.clear()
            self._builder.clear()
            self._pairings = self._new_pairings()
            for other in self._streams.values():
                other.stamps_ns = []
        stream.saw(stamp, time.monotonic())
        self.images += 1
        self._frames.add(frame)
        for endpoint, add in self._pairings.items():
            if self._node.count_publishers(self._streams[endpoint].topic):  # waiting for nobody would fill memory
                add(0, stamp, message)

    def _on_detections(self, endpoint: Endpoint, message: Any) -> None:
        try:
            stamp = _checked_stamp(message)
        except GarError as error:
            self._streams[endpoint].refused = error.message
            return
        self._streams[endpoint].saw(stamp, time.monotonic())
        self._pairings[endpoint](1, stamp, message)

    def _on_pair(self, endpoint: Endpoint, image: Image | CompressedImage, detections: Any) -> None:
        """One at a time: tracks must hear of images in their order."""
        with self._following:
            try:
                size = frame_of(image).size
                build = self._builder.of_detections if endpoint is self._regions else self._builder.of_labels
                regions = build(detections, size)
            except GarError as error:
                self._streams[endpoint].refused = error.message
                return
            self._streams[endpoint].refused = ""
            if regions is None:
                return
            self._last_pair = now = time.monotonic()
            if not isinstance(regions, LabelRegions):
                self._last_array = now
            elif now - self._last_array < _ARRAY_SECONDS:
                return  # a detector's message says more about its regions
            self._frames.add(self._tracks.follow(frame_of(image, regions)))
            self.pairs += 1

    def _on_incompatible(self, endpoint: Endpoint, policy: str) -> None:
        self._streams[endpoint].incompatible = policy

    def _warn(self) -> None:
        for endpoint in (self._regions, INSTANCES):
            count = self._node.count_publishers(self._streams[endpoint].topic)
            if count > 1 and endpoint not in self._crowded:
                self._crowded.add(endpoint)
                self._node.get_logger().warning(
                    f"{self._streams[endpoint].topic} has {count} publishers: of each image only the regions that come "
                    "first count, and ids of different detectors get mixed"
                )
        trouble = self.trouble(self._settings.input.check_period)
        if trouble and trouble != self._warned:
            self._node.get_logger().warning(f"no images with regions: {trouble}")
        self._warned = trouble


def _checked_stamp(message: Any) -> int:
    """Nanoseconds. Raises GarError INVALID_REQUEST for a message that was never stamped."""
    stamp = stamp_ns(message.header.stamp)
    if stamp == 0:
        raise GarError(ErrorCode.INVALID_REQUEST, "header.stamp is zero; the publisher must set the image's stamp")
    return stamp
