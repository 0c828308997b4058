# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest

from gar_ros.sim.generate import random_scene
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.scene import COLOURS, SHAPES, Camera, project
from gar_ros.sim.silhouette import silhouette_area
from gar_ros.sim.transforms import to_matrix
from tests.sim.tabletop import FRONT, scene_of, thing


def centre_pixel(camera: Camera, point: tuple[float, float, float], renderer: TabletopRenderer) -> tuple[int, int]:
    """Row and column of a world point."""
    u, v = project(camera.to_optical(np.array(point)), camera.intrinsics(renderer.width, renderer.height))
    return round(float(v)), round(float(u))


def test_the_same_scene_gives_the_same_arrays_whatever_was_drawn_before(renderer: TabletopRenderer) -> None:
    scene = random_scene(3)
    first = renderer.render(scene)
    renderer.render(random_scene(4, (8, 8)))
    second = renderer.render(scene)
    np.testing.assert_array_equal(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.depth, second.depth)
    np.testing.assert_array_equal(first.labels, second.labels)


def test_shapes_and_types(renderer: TabletopRenderer) -> None:
    drawn = renderer.render(random_scene(3))
    assert drawn.depth is not None
    assert (drawn.rgb.shape, drawn.depth.shape, drawn.labels.shape) == ((240, 320, 3), (240, 320), (240, 320))
    assert [array.dtype for array in (drawn.rgb, drawn.depth, drawn.labels)] == [np.uint8, np.float32, np.uint8]
    assert renderer.render(random_scene(3), depth=False).depth is None


@pytest.mark.parametrize("shape", SHAPES)
def test_an_object_is_drawn_where_its_pose_says_and_as_large_as_its_silhouette(
    renderer: TabletopRenderer, shape: str
) -> None:
    item = thing(shape, 0.08, 0.05)
    labels = renderer.render(scene_of(item), depth=False).labels
    assert set(np.unique(labels)) == {0, 1}
    assert labels[centre_pixel(FRONT, item.position, renderer)] == 1
    assert (labels == 1).sum() == pytest.approx(silhouette_area(item, FRONT, 320, 240), rel=0.04)


def test_labels_follow_the_order_of_the_objects(renderer: TabletopRenderer) -> None:
    left, right = thing("ball", -0.1, 0.0), thing("ball", 0.1, 0.0)
    one, other = (renderer.render(scene_of(*pair), depth=False).labels for pair in ((left, right), (right, left)))
    assert one[centre_pixel(FRONT, left.position, renderer)] == 1
    assert other[centre_pixel(FRONT, left.position, renderer)] == 2


def test_depth_is_metres_along_the_optical_axis(renderer: TabletopRenderer) -> None:
    ball = thing("ball", 0.0, 0.0)
    depth = renderer.render(scene_of(ball)).depth
    assert depth is not None
    row, column = centre_pixel(FRONT, ball.position, renderer)
    # The ray through the ball's centre meets its surface one radius before it.
    away = math.dist(ball.position, FRONT.position)
    along = float(FRONT.to_optical(np.array(ball.position))[2]) * (away - 0.03) / away
    assert depth[row, column] == pytest.approx(along, abs=1e-3)


def test_depth_of_the_empty_table_is_the_plane_s(renderer: TabletopRenderer) -> None:
    drawn = renderer.render(scene_of())
    assert drawn.depth is not None
    rows, columns = np.array([60, 120, 200]), np.array([100, 160, 250])
    rays = np.linalg.solve(drawn.intrinsics, np.stack([columns, rows, np.ones(3)])).T @ to_matrix(FRONT.orientation).T
    np.testing.assert_allclose(drawn.depth[rows, columns], -FRONT.position[2] / rays[:, 2], rtol=2e-3)


def test_beyond_the_table_depth_is_the_floor_s_and_infinite_above_the_horizon(renderer: TabletopRenderer) -> None:
    level = Camera.looking_at((0.0, -0.6, 0.3), (0.0, 0.0, 0.2), 45.0)
    depth = renderer.render(scene_of(camera=level)).depth
    assert depth is not None
    assert np.isinf(depth[0]).all()
    assert 1.0 < depth[95, 160] < 40.0
    assert not np.isnan(depth).any()


def test_random_scenes_have_a_depth_everywhere(renderer: TabletopRenderer) -> None:
    for seed in range(8):
        depth = renderer.render(random_scene(seed)).depth
        assert depth is not None
        assert np.isfinite(depth).all()
        assert depth.min() > 0.2


def test_a_mug_is_hollow(renderer: TabletopRenderer) -> None:
    above = Camera.looking_at((0.0, -0.05, 0.6), (0.0, 0.0, 0.0), 45.0)
    mug = thing("mug", 0.0, 0.0)
    depth = renderer.render(scene_of(mug, camera=above)).depth
    assert depth is not None
    assert depth[centre_pixel(above, (0.0, 0.0, 0.0), renderer)] == pytest.approx(
        0.6, abs=0.01
    )  # its bottom, not its top


@pytest.mark.parametrize("colour", COLOURS)
def test_plain_objects_look_like_their_colour_and_stripes_show(renderer: TabletopRenderer, colour: str) -> None:
    spread = []
    for finish in ("plain", "striped"):
        item = thing("box", 0.0, 0.0, colour=colour, finish=finish)
        drawn = renderer.render(scene_of(item), depth=False)
        pixels = drawn.rgb[drawn.labels == 1].astype(float)
        spread.append(np.abs(np.diff(drawn.rgb.astype(int), axis=0)).sum(2)[drawn.labels[1:] == 1].mean())
        mean = pixels.mean(0) / max(30.0, pixels.mean(0).max())
        dominant = {"red": 0, "green": 1, "blue": 2}.get(colour)
        if dominant is not None:
            assert mean.argmax() == dominant
        elif colour in ("white", "black"):
            assert np.ptp(mean) < 0.15
    assert spread[1] > 2 * spread[0]


def test_a_closed_renderer_can_be_followed_by_another(renderer: TabletopRenderer) -> None:
    with TabletopRenderer(64, 48) as small:
        assert small.render(random_scene(0), depth=False).rgb.shape == (48, 64, 3)
    assert renderer.render(random_scene(0), depth=False).rgb.shape == (240, 320, 3)
