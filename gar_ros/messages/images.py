"""Camera and label images to arrays: by cv_bridge where ROS brings it, else the same behaviour in a few lines.

The ROS wheels on PyPI don't bring it (robots get it from apt). Chosen only here.
"""

from __future__ import annotations

import array
import importlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, RegionSource
from gar_ros.messages.headers import stamp_ns

Size = tuple[int, int]
"""(width, height) in pixels."""

_LAYOUTS = {  # encoding -> type and number of a pixel's values; sensor_msgs/image_encodings.hpp
    "rgb8": ("u1", 3), "bgr8": ("u1", 3), "rgba8": ("u1", 4), "bgra8": ("u1", 4),
    "mono8": ("u1", 1), "8UC1": ("u1", 1), "mono16": ("u2", 1), "16UC1": ("u2", 1), "32SC1": ("i4", 1),
    "32FC1": ("f4", 1),
    "bayer_rggb8": ("u1", 1), "bayer_bggr8": ("u1", 1), "bayer_gbrg8": ("u1", 1), "bayer_grbg8": ("u1", 1),
    "uyvy": ("u1", 2), "yuv422": ("u1", 2), "yuyv": ("u1", 2), "yuv422_yuy2": ("u1", 2),
}  # fmt: skip
_TO_RGB: dict[str, int | None] = {  # OpenCV names a Bayer pattern after its second row
    "rgb8": None, "bgr8": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB, "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB, "mono16": cv2.COLOR_GRAY2RGB,
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB, "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB, "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY, "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "yuyv": cv2.COLOR_YUV2RGB_YUYV, "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUYV,
}  # fmt: skip
COLOUR_ENCODINGS = tuple(_TO_RGB)
LABEL_ENCODINGS = ("mono8", "8UC1", "mono16", "16UC1", "32SC1")


def image_array(message: Image) -> NDArray[Any]:
    """Pixels as they are, (H, W) or (H, W, C), a view of the message where its rows have no padding.

    Raises GarError INVALID_REQUEST when encoding, size, step and data don't fit together.
    """
    check_layout(message)
    kind, channels = _LAYOUTS[message.encoding]
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    height, width = message.height, message.width
    rows = np.frombuffer(message.data, np.uint8, message.step * height).reshape(height, message.step)
    row_bytes = width * channels * dtype.itemsize
    pixels = np.ascontiguousarray(rows[:, :row_bytes]).view(dtype)
    pixels = pixels.astype(dtype.newbyteorder("="), copy=False)
    return pixels if channels == 1 else pixels.reshape(height, width, channels)


def check_layout(message: Image) -> None:
    """Raises GarError INVALID_REQUEST for an image that `image_array` can't read; looks at no pixel."""
    if message.encoding not in _LAYOUTS:
        raise _bad(f"expected one of the encodings {', '.join(_LAYOUTS)}, got '{message.encoding}'")
    if message.width == 0 or message.height == 0:
        raise _bad(f"expected at least one pixel, got {message.width}x{message.height}")
    kind, channels = _LAYOUTS[message.encoding]
    row_bytes = message.width * channels * np.dtype(kind).itemsize
    if message.step < row_bytes:
        raise _bad(
            f"expected a step of {row_bytes} bytes or more ({message.width} px {message.encoding}), got {message.step}"
        )
    if len(message.data) < message.step * message.height:
        raise _bad(f"expected {message.step} x {message.height} bytes of data, got {len(message.data)}")


def _plain_rgb(message: Image) -> NDArray[np.uint8]:
    """As cv_bridge converts to rgb8."""
    pixels = image_array(message)
    if message.encoding == "mono16":
        pixels = np.rint(pixels * (255.0 / 65535.0)).astype(np.uint8)
    code = _TO_RGB[message.encoding]
    try:
        return pixels if code is None else np.asarray(cv2.cvtColor(pixels, code), np.uint8)
    except cv2.error as error:  # a YUV image of odd width, a Bayer image of one row
        raise _bad(f"{message.width}x{message.height} px can't be {message.encoding}: {error.err}") from error


def _ros_cv_bridge() -> Callable[[Image], NDArray[np.uint8]] | None:
    """cv_bridge's conversion, if ROS 2's cv_bridge is there and works.

    PyPI's `cv-bridge` is a ROS 1 port that gives wrong pixels: only the package that ament knows counts. And one
    that was built for another NumPy may import and yet fail (vision_opencv#535): so it is tried once.
    """
    try:
        prefix = Path(get_package_prefix("cv_bridge")).resolve()
        module = importlib.import_module("cv_bridge")
        if prefix not in Path(str(module.__file__)).resolve().parents:
            return None
        bridge = module.CvBridge()
        probe = Image(height=2, width=1, encoding="bgr8", step=4, data=[1, 2, 3, 0, 4, 5, 6, 0])
        if bridge.imgmsg_to_cv2(probe, "rgb8").tolist() != [[[3, 2, 1]], [[6, 5, 4]]]:
            return None
    except (OSError, PackageNotFoundError, ImportError, AttributeError, TypeError, ValueError, SystemError):
        return None
    return lambda message: np.asarray(bridge.imgmsg_to_cv2(message, "rgb8"), np.uint8)


_to_rgb = _ros_cv_bridge() or _plain_rgb


def image_rgb(message: Image) -> NDArray[np.uint8]:
    """Camera image as (H, W, 3) uint8 RGB. Raises GarError INVALID_REQUEST."""
    check_colour(message)
    return _to_rgb(message)


def compressed_size(message: CompressedImage) -> tuple[int, int]:
    """(width, height) in pixels of a JPEG or PNG, from its first bytes. Raises GarError INVALID_REQUEST."""
    try:
        with PIL.Image.open(io.BytesIO(bytes(message.data)), formats=("JPEG", "PNG")) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError) as error:
        raise _bad(f"expected a JPEG or PNG, got '{message.format}' of {len(message.data)} bytes: {error}") from error


def compressed_rgb(message: CompressedImage) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB. Raises GarError INVALID_REQUEST."""
    pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise _bad(f"'{message.format}' of {len(message.data)} bytes can't be decoded")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)


def check_colour(message: Image) -> None:
    """Raises GarError INVALID_REQUEST for a message that is no camera image; looks at no pixel."""
    if message.encoding not in _TO_RGB:
        raise _bad(f"expected one of the encodings {', '.join(_TO_RGB)}, got '{message.encoding}'")
    check_layout(message)


def frame_of(image: Image | CompressedImage, regions: RegionSource | None = None) -> Frame:
    """The value of a camera image; its pixels are converted when somebody wants them."""
    if isinstance(image, CompressedImage):
        size = compressed_size(image)
        header = image.header
        return Frame(stamp_ns(header.stamp), header.frame_id, size, lambda: compressed_rgb(image), regions)
    size = (int(image.width), int(image.height))
    return Frame(stamp_ns(image.header.stamp), image.header.frame_id, size, lambda: image_rgb(image), regions)


def image_message(pixels: NDArray[np.generic], encoding: str, header: Header) -> Image:
    """pixels: (H, W) or (H, W, C) of the encoding's type."""
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding)
    message.step = pixels.nbytes // height
    message.data = as_bytes(pixels)
    return message


def as_bytes(values: NDArray[Any]) -> array.array[int]:
    """Data field of a message; rclpy copies it as it is, but looks at each element of an ndarray (300 ms an image)."""
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(values).tobytes())
    return data


def _bad(what: str) -> GarError:
    return GarError(ErrorCode.INVALID_REQUEST, f"image: {what}")
