# SPDX-License-Identifier: Apache-2.0
"""Depth images and cameras from their messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from std_msgs.msg import Header

from gar_ros.errors import GarError
from gar_ros.geometry.camera import CameraModel
from gar_ros.messages.depth import calibration, camera_model, check_depth, depth_metres, is_raw, is_rectified
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


@pytest.mark.parametrize(
    "change",
    [
        {"width": 320},
        {"height": 240},
        {"distortion_model": "equidistant"},
        {"d": [0.1]},
        {"k": [2.0] * 9},
        {"p": [2.0] * 12},
        {"binning_x": 2},
        {"binning_y": 2},
        {"roi": RegionOfInterest(x_offset=8)},
        {"roi": RegionOfInterest(height=8)},
    ],
    ids=lambda change: "-".join(change),
)
def test_messages_of_one_camera_have_one_calibration(change: dict[str, Any]) -> None:
    info = {"width": 640, "height": 480, "distortion_model": "plumb_bob", "d": [0.0], "k": [1.0] * 9, "p": [1.0] * 12}
    first = calibration(CameraInfo(**info, header=Header(frame_id="lens")))
    assert calibration(CameraInfo(**info)) == first
    assert calibration(CameraInfo(**{**info, **change})) != first


def test_an_uncalibrated_camera_is_refused() -> None:
    with pytest.raises(GarError, match="expected focal lengths and an image size above 0"):
        camera_model(CameraInfo(width=640, height=480))


def test_the_largest_number_of_16_bits_is_no_measurement() -> None:
    for encoding in ("16UC1", "mono16"):
        metres = depth_metres(image_message(np.array([[65535, 65534]], np.uint16), encoding, Header()))
        np.testing.assert_allclose(metres, [[np.nan, 65.534]], rtol=1e-6)


def test_rows_with_padding_and_foreign_bytes_are_read() -> None:
    message = image_message(np.array([[1000, 9], [2000, 9]], ">u2"), "16UC1", Header())
    message.is_bigendian, message.width, message.step = 1, 1, 4
    assert check_depth(message) == (1, 2)
    np.testing.assert_allclose(depth_metres(message), [[1.0], [2.0]])


@pytest.mark.parametrize("encoding", ["8UC1", "32SC1", "16SC1", "64FC1", "rgb8", "", "32fc1"])
def test_encodings_that_are_no_depth_are_refused(encoding: str) -> None:
    message = image_message(np.ones((2, 2), np.float32), encoding, Header())
    with pytest.raises(GarError, match=f"depth: expected encoding 32FC1, 16UC1, mono16, got '{encoding}'"):
        check_depth(message)


def camera_info(**fields: Any) -> CameraInfo:
    """640x480 pixels; P has another focal length and centre than K."""
    info = CameraInfo(width=640, height=480, distortion_model="plumb_bob", d=[0.1, 0, 0, 0, 0])
    info.k = [500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [400.0, 0.0, 310.0, -40.0, 0.0, 400.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def ray(model: CameraModel, size: tuple[int, int] = (640, 480)) -> list[float]:
    """Of the pixel in column 410 and row 230."""
    return list(model.rays(np.array([410]), np.array([230]), size)[0])


def test_rectified_images_are_described_by_p() -> None:
    assert ray(camera_model(camera_info(), rectified=True)) == pytest.approx([0.25, 0.0])
    assert ray(camera_model(camera_info()))[0] == pytest.approx(0.1794, abs=1e-4)


def test_the_lens_of_rectified_images_may_have_any_distortion() -> None:
    for fields in ({"distortion_model": "scaramuzza"}, {"d": [0.1] * 3}, {"k": [0.0] * 9}):
        assert ray(camera_model(camera_info(**fields), rectified=True)) == pytest.approx([0.25, 0.0])


def test_rectified_images_without_p_need_a_lens_without_distortion() -> None:
    straight = camera_model(camera_info(p=[0.0] * 12, d=[]), rectified=True)
    assert ray(straight) == pytest.approx([0.18, -0.02])
    with pytest.raises(GarError, match=r"expected the matrix P, .* set parameter depth\.rectified to never"):
        camera_model(camera_info(p=[0.0] * 12), rectified=True)


def test_a_p_that_can_not_be_used_is_refused_by_its_name() -> None:
    with pytest.raises(GarError, match="expected P of the form"):
        camera_model(camera_info(p=[400.0, 1, 310, 0, 0, 400, 230, 0, 0, 0, 1, 0]), rectified=True)
    with pytest.raises(GarError, match="got fx nan, fy 400 in P"):
        camera_model(camera_info(p=[float("nan"), 0, 310, 0, 0, 400, 230, 0, 0, 0, 1, 0]), rectified=True)


def test_roi_and_binning_hold_for_k_and_p() -> None:
    roi = RegionOfInterest(x_offset=100, y_offset=60, width=400, height=300, do_rectify=True)
    info = camera_info(roi=roi, binning_x=2, binning_y=2, d=[])
    column, row = np.array([100]), np.array([85])
    # Column 100 of pairs is the middle of 200 and 201, which are 300 and 301 of the sensor.
    raw, rectified = (camera_model(info, one).rays(column, row, (200, 150))[0] for one in (False, True))
    np.testing.assert_allclose(raw, [(300.5 - 320) / 500, (230.5 - 240) / 500])
    np.testing.assert_allclose(rectified, [(300.5 - 310) / 400, (230.5 - 230) / 400])


@pytest.mark.parametrize(
    ("topic", "rectified", "raw"),
    [
        ("/camera/image_rect", True, False),
        ("/camera/image_rect_color", True, False),
        ("/camera/depth/image_rect_raw", True, False),
        ("/zed/rgb/color/rect/image", True, False),
        ("/camera/image_rectified", True, False),
        ("/camera/Image_Rect", True, False),
        ("/camera/image_raw", False, True),
        ("/zed/rgb/color/raw/image", False, True),
        ("/camera/image_unrectified", False, True),
        ("/image", False, False),
        ("/rect_robot/camera/color/image", False, False),
        ("/camera/rectangle", False, False),
        ("/camera/direct_raw", False, True),
    ],
)
def test_a_topic_s_name_says_whether_its_images_are_rectified(topic: str, rectified: bool, raw: bool) -> None:
    assert (is_rectified(topic), is_raw(topic)) == (rectified, raw)
