# SPDX-License-Identifier: Apache-2.0
"""Point clouds: by sensor_msgs_py where ROS brings it, else the same in a few lines."""

from __future__ import annotations

import logging
import sys
from functools import cache
from itertools import combinations
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.ros_libraries import ros_library

_XYZ = ("x", "y", "z")
_FLOAT_BYTES = 4
_COLOURED = [
    PointField(name=name, offset=_FLOAT_BYTES * index, datatype=PointField.FLOAT32, count=1)
    for index, name in enumerate((*_XYZ, "rgb"))
]
_COLOURED_TYPE = np.dtype([(field.name, "=f4") for field in _COLOURED])
_BIGENDIAN = sys.byteorder == "big"

_logger = logging.getLogger(__name__)


@cache
def library() -> ModuleType | None:
    """sensor_msgs_py.point_cloud2 where it is installed; logged once."""
    found = ros_library("sensor_msgs_py", "sensor_msgs_py.point_cloud2")
    by = "sensor_msgs_py" if found is not None else "gar_ros: sensor_msgs_py is not installed"
    _logger.info("point clouds are read and written by %s", by)
    return found


def check_cloud(message: PointCloud2) -> None:
    """Raises GarError INVALID_REQUEST for a cloud that has no rows like an image; looks at no point."""
    fields = {field.name: field for field in message.fields}
    wanted = [fields.get(name) for name in _XYZ]
    if any(field is None or field.datatype != PointField.FLOAT32 for field in wanted):
        raise _bad_cloud(f"expected float32 fields x, y, z, got {', '.join(fields) or 'no fields'}")
    if any(fields[name].count > 1 for name in _XYZ):  # drivers that leave the number out mean 1
        counts = ", ".join(str(fields[name].count) for name in _XYZ)
        raise _bad_cloud(f"expected one number in each of x, y, z, got {counts}")
    offsets = [int(fields[name].offset) for name in _XYZ]
    told = ", ".join(map(str, offsets))
    if max(offsets) + _FLOAT_BYTES > message.point_step:
        raise _bad_cloud(f"expected x, y, z within the {message.point_step} bytes of a point, got offsets {told}")
    if min(abs(one - other) for one, other in combinations(offsets, 2)) < _FLOAT_BYTES:
        raise _bad_cloud(f"expected x, y, z beside each other, {_FLOAT_BYTES} bytes each, got offsets {told}")
    if message.height < 2 or message.width < 1:
        rows = "1 row" if message.height == 1 else f"{message.height} rows"
        raise _bad_cloud(f"expected an organised cloud with the image's rows, got {rows} of {message.width} points")
    if len(message.data) < message.row_step * message.height or message.row_step < message.point_step * message.width:
        raise _bad_cloud(
            f"expected {message.height} rows of {message.width} x {message.point_step} bytes, got "
            f"{len(message.data)} bytes, {message.row_step} a row"
        )


def _bad_cloud(what: str) -> GarError:
    return GarError(ErrorCode.INVALID_REQUEST, f"points: {what}")


def cloud_points(message: PointCloud2) -> NDArray[np.float32]:
    """x, y, z float32 (H, W, 3) of an organised cloud that `check_cloud` accepted."""
    module = library()
    points = _xyz(message) if module is None else module.read_points_numpy(_straightened(message), _XYZ)
    return np.asarray(points, np.float32).reshape(message.height, message.width, 3)


def coloured_cloud(points: NDArray[np.float64], colours: NDArray[np.uint8], header: Header) -> PointCloud2:
    """Points (N, 3) in metres with their RGB colours (N, 3), as rviz shows them."""
    packed = np.zeros(len(points), _COLOURED_TYPE)
    packed["x"], packed["y"], packed["z"] = points.T
    red, green, blue = colours.astype(np.uint32).T
    packed["rgb"] = (red << 16 | green << 8 | blue).view(np.float32)
    module = library()
    # sensor_msgs_py can't write a cloud without points.
    cloud = module.create_cloud(header, _COLOURED, packed) if module and len(points) else _written(header, packed)
    cloud.is_dense = True
    return cloud


def _xyz(message: PointCloud2) -> NDArray[np.float32]:
    """x, y, z (H, W, 3), without sensor_msgs_py."""
    offsets = {field.name: field.offset for field in message.fields}
    kind = np.dtype(
        {
            "names": list(_XYZ),
            "formats": [">f4" if message.is_bigendian else "<f4"] * 3,
            "offsets": [offsets[name] for name in _XYZ],
            "itemsize": message.point_step,
        }
    )
    row = np.ascontiguousarray(_rows(message)).view(kind)
    return np.stack([row[name] for name in _XYZ], axis=-1).astype(np.float32)


def _rows(message: PointCloud2) -> NDArray[np.uint8]:
    """The bytes of the points (H, W * point_step), without padding of the rows."""
    rows = np.frombuffer(message.data, np.uint8, message.row_step * message.height).reshape(message.height, -1)
    return rows[:, : message.point_step * message.width]


def _straightened(message: PointCloud2) -> PointCloud2:
    """The same x, y, z as sensor_msgs_py reads them right.

    It knows nothing of padding, refuses clouds for fields that are not asked for, and swaps foreign bytes in place.
    """
    step = message.point_step * message.width
    as_it_is = message.row_step == step and bool(message.is_bigendian) is _BIGENDIAN
    return PointCloud2(
        height=message.height,
        width=message.width,
        fields=[
            PointField(name=field.name, offset=field.offset, datatype=field.datatype, count=1)
            for name in _XYZ
            for field in [next(one for one in reversed(message.fields) if one.name == name)]
        ],
        is_bigendian=message.is_bigendian,
        point_step=message.point_step,
        row_step=step,
        data=message.data if as_it_is else as_bytes(_rows(message)),
    )


def _written(header: Header, packed: NDArray[np.void]) -> PointCloud2:
    """A cloud of one row, without sensor_msgs_py."""
    step = packed.dtype.itemsize
    cloud = PointCloud2(header=header, height=1, width=len(packed), fields=_COLOURED, is_bigendian=_BIGENDIAN)
    cloud.point_step, cloud.row_step, cloud.data = step, step * len(packed), as_bytes(packed)
    return cloud
