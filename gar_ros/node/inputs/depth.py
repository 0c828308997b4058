# SPDX-License-Identifier: Apache-2.0
"""Subscribes to depth images with their camera, or to organised point clouds."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.camera import CameraModel
from gar_ros.geometry.surface import CloudSurface, DepthSurface
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.messages.clouds import check_cloud, cloud_points
from gar_ros.messages.depth import calibration, camera_model, check_depth, depth_metres, is_raw, is_rectified
from gar_ros.messages.headers import stamp_ns
from gar_ros.node.endpoints import CAMERA_INFO, DEPTH, IMAGE, POINTS, Camera, Endpoint
from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.health import Stream
from gar_ros.node.inputs.subscriptions import Subscriptions
from gar_ros.node.timers import every
from gar_ros.settings import Settings

COMPRESSED = "compressedDepth"
TROUBLE = "places in space"
"""What log and diagnostics call it when places can't be computed."""
_TOPICS = "topics of places in space"
_DISCOVERY_SECONDS = 3.0
"""After activation, publishers may be found one after the other for so long."""


class DepthInputs:
    """Subscribes until its lifetime ends, as parameter `depth.source` says; `memory` remembers the measurements."""

    def __init__(
        self,
        node: GuardedNode,
        settings: Settings,
        memory: DepthMemory,
        frames: FrameMemory,
        lifetime: ExitStack,
        camera: Camera,
    ) -> None:
        """frames: their places are tried now and then, so that what is wrong shows before somebody asks. camera: whose
        topics they are.

        Raises GarError INVALID_REQUEST for a QoS override that is no policy.
        """
        self._node, self._memory, self._frames = node, memory, frames
        self._period = settings.input.check_period
        self._other_transport = ""
        self._camera: CameraModel | None = None
        self._calibration: tuple[object, ...] = ()
        self._camera_came, self._since = False, time.monotonic()
        self._frame_id = ""
        self._told: set[str] = set()
        image, depth, self._info = (
            node.resolve_topic_name(camera.of(endpoint).name) for endpoint in (IMAGE, DEPTH, CAMERA_INFO)
        )
        self._depth = depth
        self._topics_door = camera.door(_TOPICS)
        self._rectified = _are_rectified(settings.depth.rectified, image, depth)
        self._names_differ = settings.depth.rectified == "auto" and self._rectified and (is_raw(image) or is_raw(depth))
        callbacks: dict[Endpoint, Callable[[Any], None]] = {}
        if settings.depth.source == "points":
            callbacks = {camera.of(POINTS): self._on_points}
        elif settings.depth.source == "image":
            # As image_transport names it: after the base topic's remapping.
            compressed = DEPTH._replace(name=f"{depth}/{COMPRESSED}", type=CompressedImage)
            is_compressed = settings.depth.image_transport == COMPRESSED
            measured = compressed if is_compressed else camera.of(DEPTH)
            callbacks = {measured: self._on_depth, camera.of(CAMERA_INFO): self._on_camera}
            self._other_transport = depth if is_compressed else compressed.name
        self._streams = {endpoint: Stream(node.resolve_topic_name(endpoint.name)) for endpoint in callbacks}
        for name in (camera.door(TROUBLE), self._topics_door):
            lifetime.callback(node.doors.worked, name)
        checked = {endpoint: partial(self._on_message, endpoint, callback) for endpoint, callback in callbacks.items()}
        Subscriptions(node, checked, settings.input.reliability, self._on_incompatible, lifetime)
        if callbacks:
            every(node, self._period, self._check, lifetime)

    def health(self) -> str:
        """Where places come from, for diagnostics; what is wrong with them is told otherwise."""
        if not self._streams:
            return "none: depth.source is none"
        measured = self._measured()
        return f"from {measured.topic}" if measured.publishers or measured.stamps_ns else f"none: {_nobody(measured)}"

    def _measured(self) -> Stream:
        """The stream of depth or points."""
        stream = next(iter(self._streams.values()))
        stream.publishers = self._node.count_publishers(stream.topic)
        return stream

    def _on_message(self, endpoint: Endpoint, callback: Callable[[Any], None], message: Any) -> None:
        """Raises GarError for a message that can't be used; it costs no other one."""
        stream = self._streams[endpoint]
        stream.saw(stamp_ns(message.header.stamp), time.monotonic())
        try:
            callback(message)
        except GarError as error:
            raise GarError(error.code, f"no places in space: {error.message}") from error

    def _on_incompatible(self, endpoint: Endpoint, policy: str) -> None:
        self._streams[endpoint].incompatible = policy

    def _on_camera(self, message: CameraInfo) -> None:
        self._camera_came = True
        said = calibration(message)
        if self._camera is not None and said == self._calibration:
            return  # cameras say the same with every image
        self._calibration = said
        try:
            self._camera = camera_model(message, self._rectified)
        except GarError:
            self._camera = None  # what an earlier message said may not hold any more
            raise
        if self._names_differ and not self._is_same_unrectified(message):
            self._warn_once(
                "one of the topics image and depth is rectified by its name and the other one is not: P of "
                "camera_info is used for both; set parameter depth.rectified to always or never"
            )

    def _is_same_unrectified(self, message: CameraInfo) -> bool:
        """Whether K and D give the same directions as P."""
        try:
            return self._camera is not None and self._camera.is_like(camera_model(message))
        except GarError:
            return False

    def _on_depth(self, message: Image | CompressedImage) -> None:
        size = check_depth(message)
        camera = self._camera
        if camera is None and not self._camera_came and time.monotonic() - self._since > _DISCOVERY_SECONDS:
            raise GarError(ErrorCode.INVALID_REQUEST, f"{self._depth} arrives, but no message on {self._info}")
        if camera is None:
            return  # it may still come; what is wrong with one that came is told
        camera.check_size(size)
        stamp, self._frame_id = stamp_ns(message.header.stamp), message.header.frame_id
        self._memory.add(DepthSurface(stamp, self._frame_id, partial(depth_metres, message), camera))

    def _on_points(self, message: PointCloud2) -> None:
        check_cloud(message)
        stamp, frame_id = stamp_ns(message.header.stamp), message.header.frame_id
        self._memory.add(CloudSurface(stamp, frame_id, partial(cloud_points, message)))

    def _check(self) -> None:
        """Tells what is wrong although no message says so."""
        reason = self._silence(time.monotonic())
        if reason:
            self._node.doors.refused(self._topics_door, reason)
        else:
            self._node.doors.worked(self._topics_door)
        frame = self._frames.newest(with_regions=True) or self._frames.newest(with_regions=False)
        if frame is None:
            return
        self._memory.check(frame)
        if self._frame_id and self._frame_id != frame.frame_id:
            self._warn_once(
                f"depth is in frame '{self._frame_id}' and the image in '{frame.frame_id}': places in space are right "
                "only where depth is registered (aligned) to the image; if it isn't, set topic depth to one that is"
            )

    def _silence(self, now: float) -> str:
        """Why no depth comes although somebody sends some; empty when it comes, or nobody does. now: monotonic."""
        measured = self._measured()
        if measured.publishers or measured.stamps_ns:
            return measured.trouble(now, self._period)
        if self._other_transport and self._node.count_publishers(self._other_transport):
            transport = COMPRESSED if self._other_transport.endswith(COMPRESSED) else "raw"
            return (
                f"{_nobody(measured)}, but {self._other_transport} is published: set parameter depth.image_transport "
                f"to '{transport}' to use it"
            )
        return ""

    def _warn_once(self, what: str) -> None:
        if what not in self._told:
            self._told.add(what)
            self._node.get_logger().warning(what)


def _are_rectified(setting: str, image: str, depth: str) -> bool:
    """Whether images and depth are rectified, by parameter `depth.rectified` and the names of their topics."""
    return setting == "always" or (setting == "auto" and (is_rectified(image) or is_rectified(depth)))


def _nobody(stream: Stream) -> str:
    return f"nobody publishes {stream.topic}"
