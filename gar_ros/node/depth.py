"""Depth images with their camera, or organised point clouds: messages to surfaces."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.camera import CameraModel
from gar_ros.geometry.surface import CloudSurface, DepthSurface
from gar_ros.memory.places import Places
from gar_ros.node.compat import check_layout, image_array
from gar_ros.node.convert import as_bytes, stamp_ns
from gar_ros.node.interface import CAMERA_INFO, DEPTH, POINTS, Endpoint
from gar_ros.node.settings import Settings
from gar_ros.node.subscriptions import Subscriptions

_METRES_PER_UNIT = {"32FC1": 1.0, "16UC1": 0.001, "mono16": 0.001}  # REP 118
_CLOUD_FIELDS = ("x", "y", "z")


class DepthInputs:
    """Subscribes while it exists, as parameter `depth` says; measurements are remembered in `places`."""

    def __init__(self, node: Node, settings: Settings, places: Places) -> None:
        self._logger = node.get_logger()
        self._places = places
        self._camera: CameraModel | None = None
        self._told = ""
        callbacks: dict[Endpoint, Callable[[Any], None]] = {}
        if settings.depth == "image":
            callbacks = {CAMERA_INFO: self._checked(self._on_camera), DEPTH: self._checked(self._on_depth)}
        elif settings.depth == "points":
            callbacks = {POINTS: self._checked(self._on_points)}
        self._subscriptions = Subscriptions(node, callbacks, settings.reliability, self._on_incompatible)

    def close(self) -> None:
        """Unsubscribes."""
        self._subscriptions.close()

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
        if message.encoding not in _METRES_PER_UNIT:
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"{DEPTH.name}: expected encoding {', '.join(_METRES_PER_UNIT)}, got '{message.encoding}'",
            )
        check_layout(message)
        if self._camera is None:
            raise GarError(ErrorCode.INVALID_REQUEST, f"{DEPTH.name} arrives, but no message on {CAMERA_INFO.name}")
        stamp, frame_id = stamp_ns(message.header.stamp), message.header.frame_id
        self._places.add(DepthSurface(stamp, frame_id, partial(depth_metres, message), self._camera))

    def _on_points(self, message: PointCloud2) -> None:
        check_cloud(message)
        stamp, frame_id = stamp_ns(message.header.stamp), message.header.frame_id
        self._places.add(CloudSurface(stamp, frame_id, partial(cloud_points, message)))


def camera_model(message: CameraInfo) -> CameraModel:
    """Raises GarError INVALID_REQUEST for a camera that was never calibrated."""
    matrix = np.array(message.k, np.float64).reshape(3, 3)
    distortion = np.array(message.d, np.float64)
    return CameraModel(matrix, distortion, message.distortion_model, (int(message.width), int(message.height)))


def depth_metres(message: Image) -> NDArray[np.float32]:
    """float32 (H, W), metres; NaN, infinite or 0 where unknown (REP 118)."""
    return image_array(message).astype(np.float32) * np.float32(_METRES_PER_UNIT[message.encoding])


def check_cloud(message: PointCloud2) -> None:
    """Raises GarError INVALID_REQUEST for a cloud that has no rows like an image; looks at no point."""
    offsets = {field.name: field for field in message.fields}
    wanted = [offsets.get(name) for name in _CLOUD_FIELDS]
    if any(field is None or field.datatype != PointField.FLOAT32 for field in wanted):
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"{POINTS.name}: expected float32 fields x, y, z, got {', '.join(offsets)}"
        )
    if message.height < 2:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"{POINTS.name}: expected an organised cloud with the image's rows, got {message.height} row of "
            f"{message.width} points",
        )
    if len(message.data) < message.row_step * message.height or message.row_step < message.point_step * message.width:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"{POINTS.name}: expected {message.height} rows of {message.width} x {message.point_step} bytes, got "
            f"{len(message.data)} bytes, {message.row_step} a row",
        )


def cloud_points(message: PointCloud2) -> NDArray[np.float32]:
    """x, y, z float32 (H, W, 3) of an organised cloud that `check_cloud` accepted."""
    order = ">" if message.is_bigendian else "<"
    offsets = {field.name: field.offset for field in message.fields}
    kind = np.dtype(
        {
            "names": list(_CLOUD_FIELDS),
            "formats": [f"{order}f4"] * 3,
            "offsets": [offsets[name] for name in _CLOUD_FIELDS],
            "itemsize": message.point_step,
        }
    )
    rows = np.frombuffer(message.data, np.uint8, message.row_step * message.height).reshape(message.height, -1)
    row = np.ascontiguousarray(rows[:, : message.point_step * message.width]).view(kind)
    return np.stack([row[name] for name in _CLOUD_FIELDS], axis=-1).astype(np.float32)


def coloured_cloud(points: NDArray[np.float64], colours: NDArray[np.uint8], header: Header) -> PointCloud2:
    """Points (N, 3) in metres with their RGB colours (N, 3), as rviz shows them."""
    packed = np.zeros(len(points), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])
    packed["x"], packed["y"], packed["z"] = points.T
    red, green, blue = colours.astype(np.uint32).T
    packed["rgb"] = red << 16 | green << 8 | blue
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate((*_CLOUD_FIELDS, "rgb"))
    ]
    cloud = PointCloud2(header=header, height=1, width=len(points), fields=fields, point_step=16)
    cloud.row_step = 16 * len(points)
    cloud.is_dense = True
    cloud.data = as_bytes(packed)
    return cloud
