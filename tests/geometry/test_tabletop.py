# SPDX-License-Identifier: Apache-2.0
"""Extents from rendered depth against surfaces computed from the simulator's exact poses by casting rays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.geometry.camera import CameraModel
from gar_ros.geometry.extent import region_extent
from gar_ros.geometry.surface import DepthSurface
from tests.off_screen import skip_without_off_screen_opengl

WIDTH, HEIGHT = 320, 240
SCENES = 12
NOISE = 0.002  # metres; what a good depth camera has at this distance
TOLERANCE = 0.01  # metres


@pytest.fixture(scope="module", autouse=True)
def opengl() -> None:
    skip_without_off_screen_opengl()


def test_centroids_are_those_of_the_surfaces_that_the_poses_give() -> None:
    from gar_ros.sim.generate import random_scene
    from gar_ros.sim.render import TabletopRenderer

    rng = np.random.default_rng(0)
    errors = []
    with TabletopRenderer(WIDTH, HEIGHT) as renderer:
        for seed in range(3_000_000, 3_000_000 + SCENES):
            scene = random_scene(seed)
            picture = renderer.render(scene)
            assert picture.depth is not None
            noisy = picture.depth + rng.normal(0, NOISE, picture.depth.shape).astype(np.float32)
            camera = CameraModel(picture.intrinsics, np.zeros(5), "plumb_bob", (WIDTH, HEIGHT))
            surface = DepthSurface(0, "optical", lambda noisy=noisy: noisy, camera)  # type: ignore[misc]
            for number in np.unique(picture.labels[picture.labels > 0]):
                mask = picture.labels == number
                if mask.sum() < 60:
                    continue
                truth = hit_points(scene, mask)
                errors.append(np.linalg.norm(region_extent(mask, surface).centroid - truth.mean(0)))
    assert len(errors) > 30
    assert np.median(errors) <= TOLERANCE
    assert np.quantile(errors, 0.95) <= 2 * TOLERANCE


def hit_points(scene, mask: NDArray[np.bool_]) -> NDArray[np.float64]:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Where the rays through a mask's pixels hit the posed objects, (N, 3) in the optical frame, without rendering."""
    import mujoco

    from gar_ros.sim.transforms import to_matrix
    from gar_ros.sim.world import World

    world = World()
    world.set_objects(scene.objects)
    world.set_surroundings(scene)
    rows, columns = np.nonzero(mask)
    K = scene.camera.intrinsics(WIDTH, HEIGHT)
    optical = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones(len(rows))], 1)
    directions = optical @ to_matrix(scene.camera.orientation).T
    shown = np.array([1, 1, 1, 1, 1, 0], np.uint8)  # all groups but that of unused parts
    lengths = [
        mujoco.mj_ray(
            world.model, world.data, np.array(scene.camera.position), way, shown, 1, -1, np.zeros(1, np.int32)
        )
        for way in directions
    ]
    assert min(lengths) > 0
    return optical * np.array(lengths)[:, None]
