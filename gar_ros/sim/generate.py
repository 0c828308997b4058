# SPDX-License-Identifier: Apache-2.0
"""Random scenes from a seed."""

from __future__ import annotations

import math

import numpy as np

from gar_ros.sim.layout import Layout, vary
from gar_ros.sim.scene import MAX_OBJECTS, TABLE_SURFACES, Camera, Light, Scene, SceneObject, project
from gar_ros.sim.shapes import reach
from gar_ros.sim.transforms import Vec3, to_vec3

_TABLE_RGB: tuple[Vec3, ...] = (
    (0.55, 0.42, 0.30),
    (0.72, 0.64, 0.52),
    (0.50, 0.50, 0.52),
    (0.74, 0.74, 0.74),
    (0.38, 0.28, 0.20),
    (0.42, 0.47, 0.50),
)


def random_scene(seed: int | np.random.Generator, count: tuple[int, int] = (3, 8)) -> Scene:
    """The scene of a seed, the same each time. count: fewest and most objects, inclusive.

    Raises ValueError for a count outside 1..MAX_OBJECTS.
    """
    fewest, most = count
    if not 1 <= fewest <= most <= MAX_OBJECTS:
        raise ValueError(f"expected 1 <= fewest <= most <= {MAX_OBJECTS} objects, got {count}")
    rng = np.random.default_rng(seed)
    objects = _random_objects(rng, int(rng.integers(fewest, most + 1)))
    return Scene(
        objects=objects,
        camera=_random_camera(rng, objects),
        lights=(_random_light(rng, 0.4, 0.7), _random_light(rng, 0.1, 0.4)),
        ambient=float(rng.uniform(0.28, 0.42)),
        table_rgb=vary(rng, _TABLE_RGB[rng.integers(len(_TABLE_RGB))]),
        table_surface=str(rng.choice(TABLE_SURFACES)),
        floor_rgb=vary(rng, (0.3, 0.3, 0.33)),
    )


def in_view(camera: Camera, objects: tuple[SceneObject, ...]) -> bool:
    """Whether every object is entirely inside a 4:3 picture."""
    centres = camera.to_optical(np.array([item.position for item in objects]))
    intrinsics = camera.intrinsics(640, 480)
    margin = intrinsics[0, 0] * np.array([reach(item) for item in objects]) / centres[:, 2] + 4
    u, v = project(centres, intrinsics).T
    return bool((np.minimum(u, 639 - u) > margin).all() and (np.minimum(v, 479 - v) > margin).all())


def _random_objects(rng: np.random.Generator, count: int) -> tuple[SceneObject, ...]:
    spread = 0.06 * math.sqrt(count) + 0.02
    while True:
        layout = Layout(rng, spread)
        if all(layout.add() for _ in range(count)):
            return tuple(layout.objects)
        spread *= 1.04


def _random_camera(rng: np.random.Generator, objects: tuple[SceneObject, ...]) -> Camera:
    """A camera as close as it can be with every object in view, but not closer than 0.5 m."""
    positions = np.array([item.position for item in objects])
    target = (positions.min(0) + positions.max(0)) / 2 + np.array([*rng.uniform(-0.015, 0.015, 2), 0.0])
    azimuth, elevation = rng.uniform(-0.6, 0.6), math.radians(rng.uniform(30, 60))
    level, up = math.cos(elevation), math.sin(elevation)
    back = np.array([-math.sin(azimuth) * level, -math.cos(azimuth) * level, up])
    fovy, roll, distance = float(rng.uniform(40, 46)), float(rng.normal(0, 0.03)), rng.uniform(0.5, 0.55)
    while True:
        camera = Camera.looking_at(to_vec3(target + back * distance), to_vec3(target), fovy, roll)
        if in_view(camera, objects):
            return camera
        distance *= 1.03


def _random_light(rng: np.random.Generator, low: float, high: float) -> Light:
    """A light above the table with a strength in low..high."""
    position = (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-1.2, 0.5)), float(rng.uniform(1.0, 2.0)))
    return Light(position, to_vec3(rng.uniform(low, high) * rng.uniform(0.92, 1.05, 3)))
