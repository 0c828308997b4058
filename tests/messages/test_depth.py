"""Depth images, cameras and clouds from their messages, and the cloud that rviz shows."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, PointCloud2, PointField
from std_msgs.msg import Header

from gar_ros.errors import GarError
from gar_ros.messages.depth import camera_model, check_cloud, cloud_points, coloured_cloud, depth_metres
from gar_ros.messages.images import as_bytes, image_message


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


def cloud(width: int = 3, height: int = 2, names: str = "xyz", padding: int = 8) -> PointCloud2:
    """Organised, with bytes between the points and after the rows; x counts the points."""
    point_step, row_step = 16, 16 * width + padding
    fields = [
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate(names)
    ]
    data = np.zeros((height, row_step // 4), np.float32)
    for number in range(width * height):
        row, column = divmod(number, width)
        data[row, 4 * column : 4 * column + 3] = (number, number + 0.25, number + 0.5)
    return PointCloud2(
        width=width, height=height, fields=fields, point_step=point_step, row_step=row_step, data=as_bytes(data)
    )


def test_an_organised_cloud_is_read_whatever_lies_between_its_points() -> None:
    message = cloud()
    check_cloud(message)
    points = cloud_points(message)
    assert points.shape == (2, 3, 3)
    assert points[1, 2].tolist() == [5.0, 5.25, 5.5]


def test_clouds_that_do_not_fit_an_image_are_refused() -> None:
    with pytest.raises(GarError, match="expected an organised cloud with the image's rows, got 1 row of 6 points"):
        check_cloud(cloud(6, 1))
    with pytest.raises(GarError, match="expected float32 fields x, y, z, got x, y, i"):
        check_cloud(cloud(names="xyi"))
    cut = cloud()
    cut.data = cut.data[:50]
    with pytest.raises(GarError, match="expected 2 rows of 3 x 16 bytes, got 50 bytes, 56 a row"):
        check_cloud(cut)


def test_a_coloured_cloud_holds_points_and_colours() -> None:
    message = coloured_cloud(np.array([[1.0, 2.0, 3.0]]), np.array([[255, 16, 1]], np.uint8), Header(frame_id="lens"))
    assert (message.header.frame_id, message.width, message.height, message.row_step) == ("lens", 1, 1, 16)
    assert [field.name for field in message.fields] == ["x", "y", "z", "rgb"]
    assert np.frombuffer(message.data, "<f4")[:3].tolist() == [1.0, 2.0, 3.0]
    assert np.frombuffer(message.data, "<u4")[3] == 0xFF1001
