# SPDX-License-Identifier: Apache-2.0
"""Directions of pixels: distortion of all models and numbers of coefficients, windows of the sensor, binning."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.camera import CameraModel, Window

K = np.array([[300.0, 0.0, 160.0], [0.0, 310.0, 120.0], [0.0, 0.0, 1.0]])
SIZE = (320, 240)
MILLIMETRE = 1e-3
"""Of directions: metres at a distance of one metre."""


def camera(
    *coefficients: float, model: str = "plumb_bob", window: Window | None = None, binning: tuple[int, int] = (1, 1)
) -> CameraModel:
    return CameraModel(K, np.array(coefficients, np.float64), model, SIZE, window, binning)


def seen_at(rays: NDArray[np.float64], model: str, coefficients: list[float]) -> NDArray[np.float64]:
    """Pixels (N, 2) where OpenCV draws points in these directions (N, 2)."""
    points = np.hstack([rays, np.ones((len(rays), 1))])[:, None]
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    arguments = (points, np.zeros(3), np.zeros(3), K, np.array(coefficients))
    return np.asarray(project(*arguments)[0], np.float64).reshape(-1, 2)


@pytest.mark.parametrize(
    ("model", "given", "meant"),
    [
        ("plumb_bob", [-0.3, 0.1, 0.002, -0.001], None),
        ("plumb_bob", [-0.3, 0.1, 0.002, -0.001, 0.01], None),
        ("plumb_bob", [-0.3, 0.1, 0.002, -0.001, 0.01, 0.0, 0.0], [-0.3, 0.1, 0.002, -0.001, 0.01]),
        ("rational_polynomial", [0.5, 0.1, 0.001, 0.0], None),
        ("rational_polynomial", [0.5, 0.1, 0.001, 0.0, 0.02, 0.8, 0.1, 0.01], None),
        ("rational_polynomial", [0.5, 0.1, 0.0, 0.0, 0.0, 0.8, 0.0, 0.0, 0.01, 0.0, 0.02, 0.0], None),
        ("rational_polynomial", [0.1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.02, 0.01], None),
        ("equidistant", [0.05, -0.01, 0.002, 0.0], None),
        ("equidistant", [0.05, -0.01, 0.002, 0.001, 0.0], [0.05, -0.01, 0.002, 0.001]),  # of a RealSense T265
    ],
)
def test_distortion_is_undone_to_a_tenth_of_a_millimetre(
    model: str, given: list[float], meant: list[float] | None
) -> None:
    across, down = np.meshgrid(np.linspace(-0.5, 0.5, 11), np.linspace(-0.35, 0.35, 9))
    rays = np.stack([across.ravel(), down.ravel()], 1)
    pixels = seen_at(rays, model, meant or given)
    found = camera(*given, model=model).rays(pixels[:, 0], pixels[:, 1], SIZE)
    np.testing.assert_allclose(found, rays, atol=0.1 * MILLIMETRE)


def test_strong_distortion_has_the_right_direction_or_none() -> None:
    """Of a lens that shows two directions at one pixel towards the corners, and none beyond them."""
    strong = camera(-0.9, 0.3, 0.0, 0.0)
    rows, columns = (values.ravel() for values in np.indices((240, 320)))
    rays = strong.rays(columns, rows, SIZE)
    known = np.isfinite(rays).all(1)
    assert 0.3 < known.mean() < 1.0
    back = seen_at(rays[known], "plumb_bob", [-0.9, 0.3, 0.0, 0.0])
    np.testing.assert_allclose(back, np.stack([columns, rows], 1)[known], atol=0.1)


@pytest.mark.parametrize("model", ["", "plumb_bob", "rational_polynomial", "equidistant"])
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 6, 8, 12, 14, 20])
def test_zeros_are_no_distortion_however_many(model: str, count: int) -> None:
    assert camera(*[0.0] * count, model=model).rays(np.array([310]), np.array([120]), SIZE).tolist() == [[0.5, 0.0]]


@pytest.mark.parametrize(
    ("model", "coefficients", "reason"),
    [
        ("plumb_bob", [0.1, 0.0, 0.1], "expected 4 or 5 or 8 or 12 or 14 .* plumb_bob, or none, got 3"),
        ("plumb_bob", [0.1], "got 1"),
        ("rational_polynomial", [0.1] * 7, "got 7"),
        ("rational_polynomial", [0.1] * 15, "got 15"),
        ("equidistant", [0.1] * 5, "expected 4 distortion coefficients of model equidistant, or none, got 5"),
        ("equidistant", [0.1] * 3, "got 3"),
        ("", [0.1] * 5, "expected one of the distortion models .*, got ''"),
        ("kannala_brandt", [], "got 'kannala_brandt'"),
        ("plumb_bob", [float("nan"), 0, 0, 0, 0], "expected finite distortion coefficients, got nan, 0"),
        ("equidistant", [float("inf"), 0, 0, 0], "expected finite distortion coefficients, got inf"),
    ],
)
def test_coefficients_without_a_meaning_are_refused(model: str, coefficients: list[float], reason: str) -> None:
    with pytest.raises(GarError, match=f"camera_info: .*{reason}") as raised:
        camera(*coefficients, model=model)
    assert raised.value.code is ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 0.0])
@pytest.mark.parametrize("place", [(0, 0), (1, 1)])
def test_a_focal_length_that_is_none_is_refused(place: tuple[int, int], value: float) -> None:
    matrix = K.copy()
    matrix[place] = value
    with pytest.raises(GarError, match="camera_info: expected"):
        CameraModel(matrix, np.zeros(0), "plumb_bob", SIZE)


@pytest.mark.parametrize(
    ("place", "value"), [((0, 2), float("nan")), ((1, 2), float("inf")), ((0, 1), 3.0), ((2, 2), 0.0), ((2, 0), 1.0)]
)
def test_a_matrix_of_another_form_is_refused(place: tuple[int, int], value: float) -> None:
    matrix = K.copy()
    matrix[place] = value
    with pytest.raises(GarError, match="expected K of the form fx, 0, cx, 0, fy, cy, 0, 0, 1, got 300, "):
        CameraModel(matrix, np.zeros(0), "plumb_bob", SIZE)


def rays_of(model: CameraModel, column: float, row: float, size: tuple[int, int]) -> list[float]:
    return list(model.rays(np.array([column]), np.array([row]), size)[0])


def test_a_window_s_pixels_are_those_of_the_whole_sensor() -> None:
    whole, part = camera(-0.3, 0.1, 0.0, 0.0), camera(-0.3, 0.1, 0.0, 0.0, window=Window(100, 60, 80, 40))
    assert rays_of(part, 10, 20, (80, 40)) == rays_of(whole, 110, 80, SIZE)


def test_binned_pixels_lie_in_the_middle_of_theirs() -> None:
    binned = camera(binning=(2, 4))
    assert rays_of(binned, 10, 20, (160, 60)) == pytest.approx([(20.5 - 160) / 300, (81.5 - 120) / 310])


def test_a_window_is_cut_out_before_it_is_binned() -> None:
    both = camera(window=Window(100, 60, 80, 40), binning=(2, 2))
    assert rays_of(both, 10, 5, (40, 20)) == pytest.approx([(120.5 - 160) / 300, (70.5 - 120) / 310])


@pytest.mark.parametrize("size", [(27, 13), (26, 13), (27, 14)])
def test_a_pixel_that_binning_leaves_incomplete_may_be_there_or_not(size: tuple[int, int]) -> None:
    odd = camera(window=Window(100, 60, 80, 40), binning=(3, 3))
    assert rays_of(odd, 10, 5, size) == pytest.approx([(131 - 160) / 300, (76 - 120) / 310])


def test_images_of_half_the_size_are_scaled_views() -> None:
    assert rays_of(camera(), 10, 20, (160, 120)) == pytest.approx([(20.5 - 160) / 300, (40.5 - 120) / 310])
    part = camera(window=Window(100, 60, 80, 40))
    assert rays_of(part, 10, 5, (40, 20)) == pytest.approx([(120.5 - 160) / 300, (70.5 - 120) / 310])


@pytest.mark.parametrize(
    ("window", "size"), [(None, (320, 180)), (Window(80, 60, 160, 120), SIZE), (Window(0, 0, 80, 40), (80, 80))]
)
def test_images_of_another_shape_or_larger_than_the_window_are_refused(
    window: Window | None, size: tuple[int, int]
) -> None:
    with pytest.raises(GarError, match=r"expected the camera of the depth image: .* set topic camera_info"):
        camera(window=window).check_size(size)


@pytest.mark.parametrize(
    ("window", "binning"),
    [
        (Window(0, 0, 0, 40), (1, 1)),
        (Window(300, 0, 80, 40), (1, 1)),
        (Window(0, 0, 400, 240), (1, 1)),
        (Window(100, 60, 80, 40), (100, 1)),
    ],
)
def test_a_window_that_is_not_on_the_sensor_is_refused(window: Window, binning: tuple[int, int]) -> None:
    with pytest.raises(GarError, match="expected roi with at least one pixel within the 320x240 px of the camera"):
        camera(window=window, binning=binning)
