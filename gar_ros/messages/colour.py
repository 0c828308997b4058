# SPDX-License-Identifier: Apache-2.0
"""Camera images to RGB: by cv_bridge where ROS brings it and it is right, else by OpenCV with the same result.

What cv_bridge gets wrong is not left to it: rows with padding and foreign byte order are straightened before, and each
encoding is tried once. That also finds a cv_bridge that was built for another NumPy (vision_opencv#535).
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from gar_ros.errors import GarError
from gar_ros.messages.arrays import as_bytes
from gar_ros.messages.encodings import ALREADY_RGB, COLOURS, bad_image, checked_array
from gar_ros.messages.ros_libraries import ros_library

_BIGENDIAN = sys.byteorder == "big"
_TRIAL_SIZE = (8, 6)  # width, height
_TOLERANCE = 2  # levels by which builds of OpenCV differ

_logger = logging.getLogger(__name__)


def rgb(message: Image) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of a message that `check_colour` accepted. Raises GarError INVALID_REQUEST."""
    return converter(message.encoding)(message)


@cache
def converter(encoding: str) -> Callable[[Image], NDArray[np.uint8]]:
    """What converts images of one of COLOURS; chosen, and logged, once."""
    library = ros_library("cv_bridge", "cv_bridge")
    reason = "cv_bridge is not installed"
    if library is not None:
        by_bridge: Callable[[Image], NDArray[np.uint8]] = partial(rgb_by_cv_bridge, library.CvBridge())
        reason = _difference(by_bridge, encoding)
        if not reason:
            _logger.info("%s images are converted by cv_bridge", encoding)
            return by_bridge
    _logger.info("%s images are converted by OpenCV: %s", encoding, reason)
    return rgb_by_opencv


def rgb_by_cv_bridge(bridge: Any, message: Image) -> NDArray[np.uint8]:
    """As `rgb`; bridge: a cv_bridge.CvBridge."""
    straight = _straightened(message)
    try:
        pixels = np.asarray(bridge.imgmsg_to_cv2(straight, "rgb8"))
    except Exception as error:  # its own CvBridgeError, and whatever comes out of its extension
        raise bad_image(f"cv_bridge can't convert {message.encoding}: {error}") from error
    if pixels.shape != (message.height, message.width, 3) or pixels.dtype != np.uint8:
        raise bad_image(f"cv_bridge makes {pixels.dtype} {pixels.shape} of {message.encoding}")
    return pixels


def rgb_by_opencv(message: Image) -> NDArray[np.uint8]:
    """As `rgb`, without cv_bridge."""
    code = COLOURS[message.encoding].to_rgb
    pixels = checked_array(message)
    try:
        if code not in (None, ALREADY_RGB):
            pixels = cv2.cvtColor(pixels, code)
    except cv2.error as error:  # a YUV image of odd width, a Bayer image of one row
        raise bad_image(f"{message.width}x{message.height} px can't be {message.encoding}: {error.err}") from error
    return np.asarray(cv2.convertScaleAbs(pixels, alpha=255 / 65535) if pixels.dtype == np.uint16 else pixels, np.uint8)


def _straightened(message: Image) -> Image:
    """The same picture with rows without padding and this machine's byte order."""
    encoding = COLOURS[message.encoding]
    step = encoding.row_bytes(message.width)
    if message.step == step and bool(message.is_bigendian) is _BIGENDIAN:
        return message
    return Image(
        height=message.height,
        width=message.width,
        encoding=message.encoding,
        is_bigendian=_BIGENDIAN,
        step=step,
        data=as_bytes(checked_array(message)),
    )


def _difference(convert: Callable[[Image], NDArray[np.uint8]], encoding: str) -> str:
    """What `convert` does wrong with a small picture; empty when it is right."""
    width, height = _TRIAL_SIZE
    layout = COLOURS[encoding]
    step, rows = layout.row_bytes(width), layout.data_rows(height)
    data = np.random.default_rng(0).integers(0, 256, step * rows, np.uint8)
    trial = Image(
        height=height, width=width, encoding=encoding, step=step, is_bigendian=_BIGENDIAN, data=as_bytes(data)
    )
    try:
        apart = np.abs(convert(trial).astype(int) - rgb_by_opencv(trial)).max()
    except GarError as error:
        return error.message
    return "" if apart <= _TOLERANCE else f"cv_bridge's pixels are up to {apart} levels off"
