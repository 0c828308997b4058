# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from gar_ros.sim.scene import Camera, SceneObject, project
from gar_ros.sim.transforms import about_axis, conjugate, from_matrix, multiply, to_matrix

QUARTER_ABOUT_Z = about_axis((0.0, 0.0, 1.0), math.pi / 2)
QUARTER_ABOUT_X = about_axis((1.0, 0.0, 0.0), math.pi / 2)


def test_a_quarter_turn_about_z_carries_x_to_y() -> None:
    np.testing.assert_allclose(to_matrix(QUARTER_ABOUT_Z) @ [1, 0, 0], [0, 1, 0], atol=1e-12)


def test_product_turns_by_the_second_first() -> None:
    turned = to_matrix(multiply(QUARTER_ABOUT_X, QUARTER_ABOUT_Z)) @ [1, 0, 0]
    np.testing.assert_allclose(turned, [0, 0, 1], atol=1e-12)  # x -> y about z, y -> z about x


def test_conjugate_undoes_a_rotation() -> None:
    turn = multiply(QUARTER_ABOUT_X, QUARTER_ABOUT_Z)
    np.testing.assert_allclose(multiply(conjugate(turn), turn), (1, 0, 0, 0), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 0.3, math.pi / 2, 3.0, math.pi])
def test_quaternion_of_a_matrix(angle: float) -> None:
    turn = multiply(about_axis((0.0, 1.0, 0.0), angle), about_axis((0.6, 0.0, 0.8), 0.7))
    np.testing.assert_allclose(to_matrix(from_matrix(to_matrix(turn))), to_matrix(turn), atol=1e-9)


def test_a_camera_looks_at_its_target_with_x_right_and_y_down() -> None:
    camera = Camera.looking_at((0.0, -1.0, 1.0), (0.0, 0.0, 0.0), 90.0)
    points = camera.to_optical(np.array([[0.0, 0.0, 0.0], [0.1, 0.0, 0.0], [0.0, 0.0, 0.1]]))
    assert points[0] == pytest.approx([0.0, 0.0, math.sqrt(2)])
    assert points[1, 0] == pytest.approx(0.1)  # right in the world is right in the picture
    assert points[2, 1] < 0  # up is up


def test_vertical_field_of_view_spans_the_picture() -> None:
    intrinsics = Camera((0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), 90.0).intrinsics(640, 480)
    # At 90 degrees the ray with y = z meets the picture's lower edge, half a pixel below the last row's centre.
    np.testing.assert_allclose(project(np.array([0.0, 2.0, 2.0]), intrinsics), [319.5, 479.5])


def test_pose_in_the_optical_frame_of_a_camera_that_looks_along_the_world_s_z() -> None:
    item = SceneObject("box", "red", "small", "plain", (0.1, 0.1, 0.1), (1.0, 2.0, 3.0), QUARTER_ABOUT_Z)
    position, orientation = Camera((0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0), 45.0).pose_of(item)
    assert position == pytest.approx((1.0, 2.0, 2.0))
    assert orientation == pytest.approx(QUARTER_ABOUT_Z)
