# SPDX-License-Identifier: Apache-2.0
"""Tabletop scenes as values: objects with exact poses, a camera, lights and a table. Without MuJoCo.

World frame: metres, z up, the table top is z = 0 around the origin. Camera frame: ROS optical, x right, y down,
z forward.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gar_ros.sim.transforms import IDENTITY, Quaternion, Vec3, conjugate, from_matrix, multiply, to_matrix, to_vec3

SHAPES = ("box", "ball", "cylinder", "capsule", "mug", "bowl")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black")
SIZES = ("small", "large")
FINISHES = ("plain", "striped")
TABLE_SURFACES = ("plain", "grain", "speckle")

MAX_OBJECTS = 12

COLOUR_RGB: dict[str, Vec3] = {
    "red": (0.78, 0.07, 0.07),
    "green": (0.10, 0.52, 0.14),
    "blue": (0.10, 0.22, 0.80),
    "yellow": (0.92, 0.80, 0.10),
    "orange": (0.98, 0.46, 0.03),
    "purple": (0.46, 0.12, 0.62),
    "white": (0.92, 0.92, 0.92),
    "black": (0.06, 0.06, 0.06),
}


@dataclass(frozen=True)
class SceneObject:
    """One object. Its frame has the origin at the centre of its body (a mug's handle not counted) and z along its axis.

    dimensions: extents of the body along x, y, z of its frame, metres: a box's edges; (diameter, diameter, height) of a
    cylinder or mug, at the rim for a bowl; (diameter, diameter, whole length) of a capsule.
    A mug's handle points along x.
    """

    shape: str
    colour: str
    size: str
    finish: str
    dimensions: Vec3
    position: Vec3 = (0.0, 0.0, 0.0)
    orientation: Quaternion = IDENTITY
    rgb: Vec3 = (0.5, 0.5, 0.5)
    specular: float = 0.0
    shininess: float = 0.3


@dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion.

    orientation: of its optical frame in the world. fovy: vertical field of view, degrees.
    """

    position: Vec3
    orientation: Quaternion
    fovy: float

    @classmethod
    def looking_at(cls, position: Vec3, target: Vec3, fovy: float, roll: float = 0.0) -> Camera:
        """A camera with `target` in the image centre, upright but for `roll` radians. It can't look straight down."""
        forward = np.subtract(target, position)
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, (0.0, 0.0, 1.0))
        right = right / np.linalg.norm(right)
        down = np.cross(forward, right)
        cos, sin = math.cos(roll), math.sin(roll)
        axes = np.stack([cos * right + sin * down, cos * down - sin * right, forward], 1)
        return cls(position, from_matrix(axes), fovy)

    def intrinsics(self, width: int, height: int) -> NDArray[np.float64]:
        """K (3, 3) in pixels; pixel (0, 0) has its centre at image coordinate 0, as in sensor_msgs/CameraInfo."""
        focal = height / 2 / math.tan(math.radians(self.fovy) / 2)
        return np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])

    def to_optical(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """World points (..., 3) in the camera's optical frame, metres."""
        return (points - np.array(self.position)) @ to_matrix(self.orientation)

    def pose_of(self, item: SceneObject) -> tuple[Vec3, Quaternion]:
        """Position (metres) and orientation of an object in the camera's optical frame."""
        position = to_vec3(self.to_optical(np.array(item.position)))
        return position, multiply(conjugate(self.orientation), item.orientation)


@dataclass(frozen=True)
class Light:
    """A light that shines from `position` towards the origin."""

    position: Vec3
    rgb: Vec3


@dataclass(frozen=True)
class Scene:
    """Everything the renderer draws. lights: the first casts shadows."""

    objects: tuple[SceneObject, ...]
    camera: Camera
    lights: tuple[Light, Light]
    ambient: float
    table_rgb: Vec3
    table_surface: str
    floor_rgb: Vec3


def project(points: NDArray[np.float64], intrinsics: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixel coordinates (..., 2) of points (..., 3) in the optical frame, metres, in front of the camera."""
    homogeneous = points @ intrinsics.T
    return homogeneous[..., :2] / homogeneous[..., 2:]
