# SPDX-License-Identifier: Apache-2.0
"""Scenes placed by hand."""

from __future__ import annotations

from dataclasses import replace

from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.scene import COLOUR_RGB, Camera, Light, Scene, SceneObject
from gar_ros.sim.shapes import half_height
from gar_ros.sim.transforms import Vec3
from gar_ros.sim.truth import SceneTruth, scene_truth

DIMENSIONS: dict[str, Vec3] = {
    "box": (0.06, 0.06, 0.06),
    "ball": (0.06, 0.06, 0.06),
    "cylinder": (0.05, 0.05, 0.07),
    "capsule": (0.04, 0.04, 0.09),
    "mug": (0.06, 0.06, 0.07),
    "bowl": (0.10, 0.10, 0.04),
}
SMALL_BALL: Vec3 = (0.04, 0.04, 0.04)

# From y < 0, so that +x is to the right and smaller y is nearer.
FRONT = Camera.looking_at((0.0, -0.6, 0.5), (0.0, 0.0, 0.0), 45.0)
BACK = Camera.looking_at((0.0, 0.6, 0.5), (0.0, 0.0, 0.0), 45.0)


def thing(
    shape: str,
    x: float,
    y: float,
    bottom: float = 0.0,
    colour: str = "red",
    size: str = "large",
    finish: str = "plain",
    dimensions: Vec3 | None = None,
) -> SceneObject:
    """An upright object. x, y: of its centre; bottom: height of its lowest point, metres."""
    item = SceneObject(shape, colour, size, finish, dimensions or DIMENSIONS[shape], rgb=COLOUR_RGB[colour])
    return replace(item, position=(x, y, bottom + half_height(item)))


def scene_of(*objects: SceneObject, camera: Camera = FRONT) -> Scene:
    """These objects on a grey table in even light."""
    lights = (Light((-0.5, -0.8, 1.5), (0.5, 0.5, 0.5)), Light((0.5, -0.5, 1.5), (0.3, 0.3, 0.3)))
    return Scene(objects, camera, lights, 0.35, (0.5, 0.5, 0.5), "plain", (0.3, 0.3, 0.3))


def truth_of(renderer: TabletopRenderer, *objects: SceneObject, camera: Camera = FRONT) -> SceneTruth:
    """The truth about a scene of these objects as it is drawn."""
    scene = scene_of(*objects, camera=camera)
    return scene_truth(scene, renderer.render(scene, depth=False).labels)
