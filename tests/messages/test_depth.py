# SPDX-License-Identifier: Apache-2.0
"""Depth images and cameras from their messages."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header

from gar_ros.errors import GarError
from gar_ros.messages.depth import camera_model, depth_metres
from gar_ros.messages.images import image_message


def test_metres_stay_metres_and_millimetres_become_metres() -> None:
    metres = np.array([[1.5, np.nan, np.inf]], np.float32)
    np.testing.assert_array_equal(depth_metres(image_message(metres, "32FC1", Header())), metres)
    millimetres = np.array([[1500, 0]], np.uint16)
    np.testing.assert_allclose(depth_metres(image_message(millimetres, "16UC1", Header())), [[1.5, 0.0]])


def test_a_camera_info_becomes_a_camera() -> None:
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.1, 0, 0, 0, 0])
    info.k = [500.0, 0.0, 320.0, 0.0, 501.0, 240.0, 0.0, 0.0, 1.0]
    model = camera_model(info)
    assert model.size == (640, 480)
    assert model.matrix[1].tolist() == [0.0, 501.0, 240.0]
    assert model.distortion[0] == 0.1


def test_an_uncalibrated_camera_is_refused() -> None:
    with pytest.raises(GarError, match="expected focal lengths and an image size above 0"):
        camera_model(CameraInfo(width=640, height=480))
