# SPDX-License-Identifier: Apache-2.0
"""Points from depth images and point clouds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.camera import CameraModel
from gar_ros.geometry.surface import CloudSurface, DepthSurface

K = np.array([[100.0, 0.0, 1.0], [0.0, 50.0, 0.0], [0.0, 0.0, 1.0]])
NAN = float("nan")


def camera(size: tuple[int, int], distortion: tuple[float, ...] = (), model: str = "plumb_bob") -> CameraModel:
    return CameraModel(K, np.array(distortion), model, size)


def depth_surface(metres: list[list[float]], model: CameraModel | None = None) -> DepthSurface:
    array = np.array(metres, np.float32)
    return DepthSurface(5, "optical", lambda: array, model or camera((array.shape[1], array.shape[0])))


def mask(rows: list[str]) -> NDArray[np.bool_]:
    return np.array([[character == "#" for character in row] for row in rows])


def test_a_pixel_lies_on_the_ray_of_its_centre() -> None:
    points, pixels = depth_surface([[2.0, 2.0, 2.0], [4.0, 4.0, 4.0]]).points(mask(["..#", "#.."]))
    assert points.tolist() == [[2 * (2 - 1) / 100, 0.0, 2.0], [4 * (0 - 1) / 100, 4 * 1 / 50, 4.0]]
    assert pixels == 2


def test_what_the_sensor_did_not_see_is_left_out_but_counted() -> None:
    points, pixels = depth_surface([[NAN, np.inf, 0.0, -1.0, 1.0]]).points(mask(["#####"]))
    assert points[:, 2].tolist() == [1.0]
    assert pixels == 5


def test_depth_of_half_the_size_is_the_same_view() -> None:
    full = camera((6, 4))
    points, _ = depth_surface([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], full).points(
        mask(["....##", "....##", "......", "......"])
    )
    # Pixel 2 of 3 covers pixels 4 and 5 of 6: its centre is at 4.5; row 0 covers rows 0 and 1: at 0.5.
    np.testing.assert_allclose(points, [[3 * (4.5 - 1) / 100, 3 * 0.5 / 50, 3.0]])


def test_depth_of_another_view_is_refused() -> None:
    with pytest.raises(GarError, match="expected depth registered to the image of 4x1 px, got 3x1 px") as raised:
        depth_surface([[1.0, 1.0, 1.0]]).points(mask(["####"]))
    assert raised.value.code is ErrorCode.INVALID_REQUEST


def test_lens_distortion_is_undone() -> None:
    straight, bent = (
        depth_surface([[1.0] * 9], camera((9, 1), coefficients)).points(mask(["........#"]))[0]
        for coefficients in ((), (0.5, 0.0, 0.0, 0.0, 0.0))
    )
    assert straight[0, 0] == pytest.approx(0.07)
    # x_distorted = x (1 + 0.5 x^2)
    assert bent[0, 0] * (1 + 0.5 * bent[0, 0] ** 2) == pytest.approx(0.07, abs=1e-6)
    assert bent[0, 0] < straight[0, 0]


@pytest.mark.parametrize(
    ("matrix", "model", "reason"),
    [
        (np.zeros((3, 3)), "plumb_bob", "expected focal lengths and an image size above 0, got fx 0, fy 0"),
        (
            K,
            "fisheye62",
            "expected one of the distortion models plumb_bob, rational_polynomial, equidistant, got 'fisheye62'",
        ),
    ],
)
def test_a_camera_that_can_not_be_used_is_refused(matrix: NDArray[np.float64], model: str, reason: str) -> None:
    with pytest.raises(GarError, match=reason):
        CameraModel(matrix, np.zeros(0), model, (4, 4))


def test_an_organised_cloud_gives_its_own_points() -> None:
    grid = np.array([[[1, 2, 3], [NAN, NAN, NAN], [4, 5, 6]]], np.float32)
    points, pixels = CloudSurface(5, "lidar", lambda: grid).points(mask(["##."]))
    assert points.tolist() == [[1.0, 2.0, 3.0]]
    assert pixels == 2
