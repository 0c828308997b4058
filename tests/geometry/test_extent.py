# SPDX-License-Identifier: Apache-2.0
"""Robust centroid and box of a region's seen surface."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.geometry.camera import CameraModel
from gar_ros.geometry.extent import Pose, region_extent
from gar_ros.geometry.surface import DepthSurface

SIZE = 101  # pixels, square image
FOCAL = 100.0


def surface(metres: NDArray[np.float32]) -> DepthSurface:
    centre = (SIZE - 1) / 2
    matrix = np.array([[FOCAL, 0.0, centre], [0.0, FOCAL, centre], [0.0, 0.0, 1.0]])
    return DepthSurface(7, "optical", lambda: metres, CameraModel(matrix, np.zeros(5), "plumb_bob", (SIZE, SIZE)))


def flat(metres: float) -> NDArray[np.float32]:
    return np.full((SIZE, SIZE), metres, np.float32)


def square(half: int) -> NDArray[np.bool_]:
    mask = np.zeros((SIZE, SIZE), bool)
    middle = SIZE // 2
    mask[middle - half : middle + half + 1, middle - half : middle + half + 1] = True
    return mask


def test_a_flat_square_before_the_camera() -> None:
    extent = region_extent(square(21), surface(flat(2.0)))
    assert extent.frame_id == "optical"
    assert extent.stamp_ns == 7
    assert extent.centroid == pytest.approx((0, 0, 2))
    assert extent.centre == pytest.approx((0, 0, 2))
    assert extent.size == pytest.approx((0.8, 0.8, 0), abs=0.03)  # 41 px without the rim, 2 m / 100 px each
    assert extent.points == 41 * 41


def test_background_at_the_rim_and_through_holes_does_not_count() -> None:
    depth = flat(1.0)
    depth[~square(19)] = 5.0  # the mask is 2 px too large
    depth[::4, ::4] = 5.0  # a grid one looks through
    extent = region_extent(square(21), surface(depth))
    assert extent.centroid[2] == pytest.approx(1.0)
    assert extent.high[2] == pytest.approx(1.0)


def test_a_long_object_keeps_its_ends() -> None:
    depth = flat(1.0)
    depth[:] = np.linspace(1.0, 3.0, SIZE, dtype=np.float32)  # a plank that leads away
    extent = region_extent(np.ones((SIZE, SIZE), bool), surface(depth))
    assert extent.low[2] == pytest.approx(1.02, abs=0.03)
    assert extent.high[2] == pytest.approx(2.98, abs=0.03)


@pytest.mark.parametrize("known", [0.0, 0.05])
def test_too_little_depth_is_no_place(known: float) -> None:
    depth = flat(float("nan"))
    depth[:, : round(known * SIZE)] = 1.0
    extent = region_extent(np.ones((SIZE, SIZE), bool), surface(depth))
    assert not extent.known
    assert extent.points == 0
    assert all(math.isnan(value) for value in (*extent.centroid, *extent.low, *extent.high, *extent.size))


def test_a_region_thinner_than_its_rim_is_used_as_it_is() -> None:
    line = np.zeros((SIZE, SIZE), bool)
    line[50, 20:80] = True
    assert region_extent(line, surface(flat(1.0))).points == 60


def test_a_pose_moves_the_points_before_the_box_is_made() -> None:
    quarter = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # optical to x forward, y left, z up
    pose = Pose("base", quarter, np.array([10.0, 0.0, 1.0]))
    extent = region_extent(square(21), surface(flat(2.0)), pose)
    assert extent.frame_id == "base"
    assert extent.centroid == pytest.approx((12, 0, 1))
    assert extent.size == pytest.approx((0, 0.8, 0.8), abs=0.03)
