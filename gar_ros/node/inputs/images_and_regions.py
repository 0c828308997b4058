# SPDX-License-Identifier: Apache-2.0
"""Subscriptions to camera and detector; their messages become frames in the memory."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from sensor_msgs.msg import CompressedImage

from gar_ros.errors import LEAVING
from gar_ros.frame import Frame
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.messages.detections import message_type
from gar_ros.messages.pairing import Arrival, FramePairing, Input
from gar_ros.node.endpoints import IMAGE, INSTANCES, REGIONS, Camera, Endpoint
from gar_ros.node.guard import GuardedNode, subscription_door
from gar_ros.node.inputs.durations import Durations
from gar_ros.node.inputs.health import Rules, Stream, too_late, why_unpaired
from gar_ros.node.inputs.subscriptions import Subscriptions
from gar_ros.node.log import kind_of
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
        camera: Camera,
    ) -> None:
        """camera: whose topics they are. Raises GarError INVALID_REQUEST for a QoS override that is no policy."""
        self._node, self._settings = node, settings
        self._frames, self._depth, self._tracks = frames, depth, tracks
        endpoints = {kind: camera.of(endpoint) for kind, endpoint in _INPUTS.items()}
        of_detector = message_type(settings.input.regions_type)
        endpoints[Input.REGIONS] = endpoints[Input.REGIONS]._replace(type=of_detector)
        self._raw_image = node.resolve_topic_name(endpoints[Input.IMAGE].name)
        self._compressed_image = f"{self._raw_image}/compressed"  # as image_transport names it: after remapping
        if settings.input.image_transport == "compressed":
            endpoints[Input.IMAGE] = IMAGE._replace(name=self._compressed_image, type=CompressedImage)
        self._tracking_door = camera.door("tracking")
        self._kinds = {endpoint: kind for kind, endpoint in endpoints.items()}
        self._streams = {kind: Stream(node.resolve_topic_name(endpoint.name)) for kind, endpoint in endpoints.items()}
        self._pairing = FramePairing(
            settings.input,
            settings.sync,
            lambda kind: self._publishers(kind) > 0,
            by_ids=settings.tracking.method == "detector",
        )
        self._rules = Rules(self._pairing.slop_ns, settings.sync.queue_size)
        self._turned_away: set[Input] = set()
        """Inputs whose last message was refused before it could wait for its partner."""
        self._handling = threading.Lock()
        self._last_pair: float | None = None
        self._untracked = ""
        self._crowded: set[Input] = set()
        self._jumps_told: dict[tuple[Input, str], float] = {}  # when, monotonic seconds
        self.images = self.pairs = 0
        """That have come since activation."""
        self._warned = ""
        callbacks: dict[Endpoint, Callable[[Any], None]] = {
            endpoint: partial(self._on_message, kind) for endpoint, kind in self._kinds.items()
        }
        self.image_durations = Durations()
        image = endpoints[Input.IMAGE]
        callbacks[image] = self.image_durations.timed(callbacks[image])
        reliability = settings.input.reliability
        subscriptions = Subscriptions(node, callbacks, reliability, self._on_incompatible, lifetime, self._on_types)
        self._image_gaps = subscriptions.gaps[image]
        every(node, settings.input.check_period, self._warn, lifetime)

    @property
    def dropped(self) -> int:
        """Number of images that were published since activation and never taken: lost, or overtaken by a newer one."""
        return self._image_gaps.missing

    def trouble(self, quiet: float = 1.0) -> str:
        """Why no pairs have arrived for `quiet` seconds, or not yet; empty when some have."""
        now = time.monotonic()
        if self._last_pair is not None and now - self._last_pair < quiet:
            return self._untracked
        failing = self._node.doors.failing()
        for kind, stream in self._streams.items():
            stream.publishers = self._publishers(kind)
            stream.failing = failing.get(subscription_door(stream.topic), "")
        self._streams[Input.IMAGE].elsewhere = self._image_elsewhere()
        return why_unpaired(self._streams[Input.IMAGE], self._detections(), self._rules, now, quiet)

    def _image_elsewhere(self) -> str:
        """Where images are published that this node isn't set to take, and how to take them; empty without any."""
        compressed = self._settings.input.image_transport == "compressed"
        topic, transport = (self._raw_image, "raw") if compressed else (self._compressed_image, "compressed")
        if not self._node.count_publishers(topic):
            return ""
        return f"{topic} is published: set parameter 'input.image_transport' to '{transport}' to use it"

    def _detections(self) -> list[Stream]:
        return [self._streams[Input.REGIONS], self._streams[Input.INSTANCES]]

    def _publishers(self, kind: Input) -> int:
        return self._node.count_publishers(self._streams[kind].topic)

    def _on_message(self, kind: Input, message: Any) -> None:
        """One at a time: memory and tracks must hear of images in their order."""
        with self._handling:
            arrival, now = self._pairing.add(kind, message), time.monotonic()
            if arrival.jump_ns:
                self._tell_jump(kind, arrival.jump_ns)
            if arrival.restarted:
                self._forget()
            if arrival.stamp_ns is not None:
                self._streams[kind].saw(arrival.stamp_ns, now)
            self._tell(kind, arrival)
            if arrival.frame is not None:
                self.images += 1
                self._frames.add(arrival.frame)
            if arrival.paired:
                self._last_pair = now
            elif arrival.stamp_ns is not None:
                self._look_for_partner(kind, arrival.stamp_ns)
            for frame in arrival.pairs:
                self._remember(frame)

    def _tell(self, came: Input, arrival: Arrival) -> None:
        """What can't be used is told at once, but costs nothing else."""
        if arrival.stamp_ns is None:
            self._turned_away.add(came)
        elif came in self._turned_away:  # it waits for its partner; what was wrong with the one before is over
            self._turned_away.discard(came)
            arrival.verdicts.setdefault(came, "")
        for kind, reason in arrival.verdicts.items():
            self._streams[kind].refused = reason
            door = f"messages on {self._streams[kind].topic} are refused"
            if kind in arrival.defects:
                self._node.doors.failed(door, arrival.defects[kind])
            elif reason:
                self._node.doors.refused(door, reason)
            else:
                self._node.doors.worked(door)
        for kind, odd in arrival.odd.items():
            door = f"detections on {self._streams[kind].topic}"
            if odd:
                self._node.doors.refused(door, "; ".join(odd))
            else:
                self._node.doors.worked(door)

    def _look_for_partner(self, kind: Input, stamp_ns: int) -> None:
        """Tells of a message whose partner has come, but has left the queue."""
        image, tolerance_ns = self._streams[Input.IMAGE], self._rules.tolerance_ns
        for stream in self._detections():
            if kind is Input.IMAGE:
                stream.early = stream.newer(stamp_ns, tolerance_ns)
            elif stream is self._streams[kind]:
                stream.late = image.newer(stamp_ns, tolerance_ns)
            if reason := too_late(image, stream, self._rules.queue_size):
                self._node.doors.refused(f"messages on {stream.topic} come too late", reason)

    def _remember(self, frame: Frame) -> None:
        """The image and its regions; the image alone, where they can't be tracked: their ids would be others'."""
        door = self._tracking_door
        try:
            followed = self._tracks.follow(frame)
        except LEAVING:
            raise
        except BaseException as error:  # noqa: BLE001 whatever a tracker raises, the next image is another one
            reason = self._node.doors.failed(door, error)
            self._untracked = f"the regions of the newest image can't be tracked: {reason}"
            return
        self._node.doors.worked(door)
        self._untracked = ""
        self._frames.add(followed)
        self.pairs += 1
        for stream in self._detections():
            stream.late = stream.early = 0
            self._node.doors.worked(f"messages on {stream.topic} come too late")
        self._node.get_logger().debug(f"image {frame.stamp_ns} ns has its regions")

    def _tell_jump(self, kind: Input, jump_ns: int) -> None:
        """At most every five seconds of one topic and direction: two clocks on one topic jump all the time."""
        way, now = "ahead" if jump_ns > 0 else "back", time.monotonic()
        if now - self._jumps_told.get((kind, way), -math.inf) < 5.0:
            return
        self._jumps_told[kind, way] = now
        self._node.get_logger().warning(
            f"stamps on {self._streams[kind].topic} went {way} in time: starting over ({abs(jump_ns) / 1e9:.3f} s)"
        )

    def _forget(self) -> None:
        """Stamps have started anew."""
        self._frames.clear()
        self._depth.clear()
        self._tracks.clear()
        for stream in self._streams.values():
            stream.start_over()

    def _on_incompatible(self, endpoint: Endpoint, policy: str) -> None:
        self._streams[self._kinds[endpoint]].incompatible = policy

    def _on_types(self, endpoint: Endpoint, wrong: str) -> None:
        self._streams[self._kinds[endpoint]].mistyped = wrong

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
        if trouble and kind_of(trouble) != self._warned:
            self._node.get_logger().warning(f"no images with regions: {trouble}")
        self._warned = kind_of(trouble)
