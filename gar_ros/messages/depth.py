# SPDX-License-Identifier: Apache-2.0
"""Depth images and their camera: messages to values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, Image

from gar_ros.geometry.camera import CameraModel
from gar_ros.messages.encodings import checked_array

METRES_PER_UNIT = {"32FC1": 1.0, "16UC1": 0.001, "mono16": 0.001}  # REP 118


def camera_model(message: CameraInfo) -> CameraModel:
    """Raises GarError INVALID_REQUEST for a camera that was never calibrated."""
    matrix = np.array(message.k, np.float64).reshape(3, 3)
    distortion = np.array(message.d, np.float64)
    return CameraModel(matrix, distortion, message.distortion_model, (int(message.width), int(message.height)))


def depth_metres(message: Image) -> NDArray[np.float32]:
    """float32 (H, W), metres; NaN, infinite or 0 where unknown (REP 118). message: accepted by `check_layout`."""
    return checked_array(message).astype(np.float32) * np.float32(METRES_PER_UNIT[message.encoding])
