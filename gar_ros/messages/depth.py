"""Depth images, their camera and organised point clouds: messages to surfaces and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.camera import CameraModel
from gar_ros.messages.images import as_bytes, image_array

METRES_PER_UNIT = {"32FC1": 1.0, "16UC1": 0.001, "mono16": 0.001}  # REP 118


CLOUD_FIELDS = ("x", "y", "z")


def camera_model(message: CameraInfo) -> CameraModel:
    """Raises GarError INVALID_REQUEST for a camera that was never calibrated."""
    matrix = np.array(message.k, np.float64).reshape(3, 3)
    distortion = np.array(message.d, np.float64)
    return CameraModel(matrix, distortion, message.distortion_model, (int(message.width), int(message.height)))


def depth_metres(message: Image) -> NDArray[np.float32]:
    """float32 (H, W), metres; NaN, infinite or 0 where unknown (REP 118)."""
    return image_array(message).astype(np.float32) * np.float32(METRES_PER_UNIT[message.encoding])


def check_cloud(message: PointCloud2) -> None:
    """Raises GarError INVALID_REQUEST for a cloud that has no rows like an image; looks at no point."""
    offsets = {field.name: field for field in message.fields}
    wanted = [offsets.get(name) for name in CLOUD_FIELDS]
    if any(field is None or field.datatype != PointField.FLOAT32 for field in wanted):
        raise GarError(ErrorCode.INVALID_REQUEST, f"cloud: expected float32 fields x, y, z, got {', '.join(offsets)}")
    if message.height < 2:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"cloud: expected an organised cloud with the image's rows, got {message.height} row of "
            f"{message.width} points",
        )
    if len(message.data) < message.row_step * message.height or message.row_step < message.point_step * message.width:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"cloud: expected {message.height} rows of {message.width} x {message.point_step} bytes, got "
            f"{len(message.data)} bytes, {message.row_step} a row",
        )


def cloud_points(message: PointCloud2) -> NDArray[np.float32]:
    """x, y, z float32 (H, W, 3) of an organised cloud that `check_cloud` accepted."""
    order = ">" if message.is_bigendian else "<"
    offsets = {field.name: field.offset for field in message.fields}
    kind = np.dtype(
        {
            "names": list(CLOUD_FIELDS),
            "formats": [f"{order}f4"] * 3,
            "offsets": [offsets[name] for name in CLOUD_FIELDS],
            "itemsize": message.point_step,
        }
    )
    rows = np.frombuffer(message.data, np.uint8, message.row_step * message.height).reshape(message.height, -1)
    row = np.ascontiguousarray(rows[:, : message.point_step * message.width]).view(kind)
    return np.stack([row[name] for name in CLOUD_FIELDS], axis=-1).astype(np.float32)


def coloured_cloud(points: NDArray[np.float64], colours: NDArray[np.uint8], header: Header) -> PointCloud2:
    """Points (N, 3) in metres with their RGB colours (N, 3), as rviz shows them."""
    packed = np.zeros(len(points), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])
    packed["x"], packed["y"], packed["z"] = points.T
    red, green, blue = colours.astype(np.uint32).T
    packed["rgb"] = red << 16 | green << 8 | blue
    fields = [
        PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
        for index, name in enumerate((*CLOUD_FIELDS, "rgb"))
    ]
    cloud = PointCloud2(header=header, height=1, width=len(points), fields=fields, point_step=16)
    cloud.row_step = 16 * len(points)
    cloud.is_dense = True
    cloud.data = as_bytes(packed)
    return cloud
