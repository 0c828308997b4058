# SPDX-License-Identifier: Apache-2.0
"""Depth images and their camera: messages to values."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gar_ros.geometry.camera import CameraModel, Size, Window, bad_camera
from gar_ros.messages.compressed_depth import check_compressed_depth, compressed_metres
from gar_ros.messages.depth_units import MILLIMETRES, check_encoding, metres_of
from gar_ros.messages.encodings import check_layout, checked_array

_RECTIFIED = re.compile(r"(?:^|_)(?:rect|rectified|undistorted)(?:_|$)")
_RAW = re.compile(r"(?:^|_)(?:raw|unrectified)(?:_|$)")


def camera_model(message: CameraInfo, rectified: bool = False) -> CameraModel:
    """The camera of images as the lens makes them, or of rectified ones, for which P counts instead of K and D.

    As depth_image_proc does, it takes the frame of rectified images for that of the rectified camera itself: R and the
    last column of P, which lead to another one, don't count. Raises GarError INVALID_REQUEST for a camera that was
    never calibrated or that can't be computed with.
    """
    matrix, distortion = np.array(message.k, np.float64).reshape(3, 3), np.array(message.d, np.float64)
    model, name = message.distortion_model, "K"
    projection = np.array(message.p, np.float64).reshape(3, 4)[:, :3]
    if rectified and not projection.any() and distortion.any():
        raise bad_camera(
            "expected the matrix P, because the images are rectified, but P is 0; set parameter depth.rectified to "
            "never if they are not"
        )
    if rectified and projection.any():
        matrix, distortion, model, name = projection, np.zeros(0), "", "P"
    size = (int(message.width), int(message.height))
    binning = (max(int(message.binning_x), 1), max(int(message.binning_y), 1))
    return CameraModel(matrix, distortion, model, size, _window(message), binning, name)


def calibration(message: CameraInfo) -> tuple[object, ...]:
    """All that `camera_model` reads of a message; equal for messages of the same camera."""
    roi = message.roi
    return (
        message.width,
        message.height,
        message.distortion_model,
        tuple(message.d),
        tuple(message.k),
        tuple(message.p),
        (message.binning_x, message.binning_y),
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
    )


def _window(message: CameraInfo) -> Window | None:
    roi = message.roi
    window = Window(int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height))
    return None if window == Window(0, 0, 0, 0) else window


def is_rectified(topic: str) -> bool:
    """Whether a topic's last two names say that its images are rectified, as `image_rect_color` does."""
    return any(_RECTIFIED.search(name.lower()) for name in topic.split("/")[-2:])


def is_raw(topic: str) -> bool:
    """Whether a topic's last two names say that its images are as the lens makes them, as `image_raw` does."""
    names = [name.lower() for name in topic.split("/")[-2:]]
    return not is_rectified(topic) and any(_RAW.search(name) for name in names)


def check_depth(message: Image | CompressedImage) -> Size:
    """(width, height) in pixels of a depth image; decodes no pixel.

    Raises GarError INVALID_REQUEST for a message that is no depth image.
    """
    if isinstance(message, CompressedImage):
        return check_compressed_depth(message)
    check_encoding(message.encoding)
    check_layout(message)
    return int(message.width), int(message.height)


def depth_metres(message: Image | CompressedImage) -> NDArray[np.float32]:
    """float32 (H, W), metres; NaN, infinite or not above 0 where unknown (REP 118).

    message: accepted by `check_depth`. Raises GarError INVALID_REQUEST for a compressed one that can't be decoded.
    """
    if isinstance(message, CompressedImage):
        return compressed_metres(message)
    values = checked_array(message)
    return metres_of(values) if message.encoding in MILLIMETRES else values.astype(np.float32)
