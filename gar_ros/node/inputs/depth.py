# SPDX-License-Identifier: Apache-2.0
"""Subscribes to depth images with their camera, or to organised point clouds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.camera import CameraModel
from gar_ros.geometry.surface import CloudSurface, DepthSurface
from gar_ros.memory.depth import DepthMemory
from gar_ros.messages.clouds import check_cloud, cloud_points
from gar_ros.messages.depth import METRES_PER_UNIT, camera_model, depth_metres
from gar_ros.messages.encodings import check_layout
from gar_ros.messages.headers import stamp_ns
from gar_ros.node.endpoints import CAMERA_INFO, DEPTH, POINTS, Endpoint
from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.subscriptions import Subscriptions
from gar_ros.settings import Settings


class DepthInputs:
    """Subscribes until its lifetime ends, as parameter `depth.source` says; `memory` remembers the measurements."""

    def __init__(self, node: GuardedNode, settings: Settings, memory: DepthMemory, lifetime: ExitStack) -> None:
        """Raises GarError INVALID_REQUEST for a QoS override that is no policy."""
        self._logger = node.get_logger()
        self._memory = memory
        self._camera: CameraModel | None = None
        self._told = ""
        callbacks: dict[Endpoint, Callable[[Any], None]] = {}
        if settings.depth.source == "image":
            callbacks = {CAMERA_INFO: self._checked(self._on_camera), DEPTH: self._checked(self._on_depth)}
        elif settings.depth.source == "points":
            callbacks = {POINTS: self._checked(self._on_points)}
        Subscriptions(node, callbacks, settings.input.reliability, self._on_incompatible, lifetime)

    def _checked(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """A message that can't be used is told once and changes nothing else."""

        def call(message: Any) -> None:
            try:
                callback(message)
            except GarError as error:
                self._tell(error.message)

        return call

    def _tell(self, what: str) -> None:
        if what != self._told:
            self._logger.warning(f"no places in space: {what}")
        self._told = what

    def _on_incompatible(self, endpoint: Endpoint, policy: str) -> None:
        self._tell(f"{endpoint.name} has a publisher whose QoS policy '{policy}' does not match this node's")

    def _on_camera(self, message: CameraInfo) -> None:
        self._camera = camera_model(message)

    def _on_depth(self, message: Image) -> None:
        if message.encoding not in METRES_PER_UNIT:
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"{DEPTH.name}: expected encoding {', '.join(METRES_PER_UNIT)}, got '{message.encoding}'",
            )
        check_layout(message)
        if self._camera is None:
            raise GarError(ErrorCode.INVALID_REQUEST, f"{DEPTH.name} arrives, but no message on {CAMERA_INFO.name}")
        stamp, frame_id = stamp_ns(message.header.stamp), message.header.frame_id
        self._memory.add(DepthSurface(stamp, frame_id, partial(depth_metres, message), self._camera))

    def _on_points(self, message: PointCloud2) -> None:
        check_cloud(message)
        stamp, frame_id = stamp_ns(message.header.stamp), message.header.frame_id
        self._memory.add(CloudSurface(stamp, frame_id, partial(cloud_points, message)))
