# SPDX-License-Identifier: Apache-2.0
"""Subscriptions to camera and detector; their messages become frames in the memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from sensor_msgs.msg import CompressedImage

from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.messages.detections import message_type
from gar_ros.messages.pairing import FramePairing, Input
from gar_ros.node.endpoints import IMAGE, INSTANCES, REGIONS, Endpoint
from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.health import Stream, why_unpaired
from gar_ros.node.inputs.subscriptions import Subscriptions
from gar_ros.node.timers import every
from gar_ros.settings import Settings

_INPUTS = {Input.IMAGE: IMAGE, Input.REGIONS: REGIONS, Input.INSTANCES: INSTANCES}


class Inputs:
    """Subscribes until its lifetime ends. Callbacks pair and remember messages; pixels are converted when needed."""

    def __init__(
        self,
        node: GuardedNode,
        settings: Settings,
        frames: FrameMemory,
        depth: DepthMemory,
        tracks: TrackMemory,
        lifetime: ExitStack,
    ) -> None:
        """Raises GarError INVALID_REQUEST for a QoS override that is no policy."""
        self._node, self._settings = node, settings
        self._frames, self._depth, self._tracks = frames, depth, tracks
        endpoints = {**_INPUTS, Input.REGIONS: REGIONS._replace(type=message_type(settings.input.regions_type))}
        if settings.input.image_transport == "compressed":
            # As image_transport names it: after the base topic's remapping.
            topic = f"{node.resolve_topic_name(IMAGE.name)}/compressed"
            endpoints[Input.IMAGE] = IMAGE._replace(name=topic, type=CompressedImage)
        self._kinds = {endpoint: kind for kind, endpoint in endpoints.items()}
        self._streams = {kind: Stream(node.resolve_topic_name(endpoint.name)) for kind, endpoint in endpoints.items()}
        self._pairing = FramePairing(settings.input, settings.sync, lambda kind: self._publishers(kind) > 0)
        self._handling = threading.Lock()
        self._last_pair: float | None = None
        self._crowded: set[Input] = set()
        self.images = self.pairs = 0
        """That have come since activation."""
        self._warned = ""
        callbacks: dict[Endpoint, Callable[[Any], None]] = {
            endpoint: partial(self._on_message, kind) for endpoint, kind in self._kinds.items()
        }
        Subscriptions(node, callbacks, settings.input.reliability, self._on_incompatible, lifetime)
        every(node, settings.input.check_period, self._warn, lifetime)

    def trouble(self, quiet: float = 1.0) -> str:
        """Why no pairs have arrived for `quiet` seconds, or not yet; empty when some have."""
        now = time.monotonic()
        if self._last_pair is not None and now - self._last_pair < quiet:
            return ""
        for kind, stream in self._streams.items():
            stream.publishers = self._publishers(kind)
        detections = [self._streams[Input.REGIONS], self._streams[Input.INSTANCES]]
        return why_unpaired(self._streams[Input.IMAGE], detections, self._pairing.slop_ns, now, quiet)

    def _publishers(self, kind: Input) -> int:
        return self._node.count_publishers(self._streams[kind].topic)

    def _on_message(self, kind: Input, message: Any) -> None:
        """One at a time: memory and tracks must hear of images in their order."""
        with self._handling:
            arrival, now = self._pairing.add(kind, message), time.monotonic()
            if arrival.restarted:
                self._forget()
            if arrival.stamp_ns is not None:
                self._streams[kind].saw(arrival.stamp_ns, now)
            for other, reason in arrival.verdicts.items():
                self._streams[other].refused = reason
            for other, odd in arrival.odd.items():
                self._tell_odd(other, odd)
            if arrival.frame is not None:
                self.images += 1
                self._frames.add(arrival.frame)
            if arrival.paired:
                self._last_pair = now
            for frame in arrival.pairs:
                self._frames.add(self._tracks.follow(frame))
                self.pairs += 1
                self._node.get_logger().debug(f"image {frame.stamp_ns} ns has its regions")

    def _tell_odd(self, kind: Input, odd: Sequence[str]) -> None:
        """Says what is odd about some detections of a message whose others are used."""
        name = f"detections on {self._streams[kind].topic}"
        if odd:
            self._node.doors.refused(name, "; ".join(odd))
        else:
            self._node.doors.worked(name)

    def _forget(self) -> None:
        """Stamps have started anew."""
        topic = self._streams[Input.IMAGE].topic
        self._node.get_logger().warning(f"stamps on {topic} went back in time: starting over")
        self._frames.clear()
        self._depth.clear()
        self._tracks.clear()
        for stream in self._streams.values():
            stream.stamps_ns = []

    def _on_incompatible(self, endpoint: Endpoint, policy: str) -> None:
        self._streams[self._kinds[endpoint]].incompatible = policy

    def _warn(self) -> None:
        for kind in (Input.REGIONS, Input.INSTANCES):
            count = self._publishers(kind)
            if count > 1 and kind not in self._crowded:
                self._crowded.add(kind)
                self._node.get_logger().warning(
                    f"{self._streams[kind].topic} has {count} publishers: of each image only the regions that come "
                    "first count, and ids of different detectors get mixed"
                )
        trouble = self.trouble(self._settings.input.check_period)
        if trouble and trouble != self._warned:
            self._node.get_logger().warning(f"no images with regions: {trouble}")
        self._warned = trouble
