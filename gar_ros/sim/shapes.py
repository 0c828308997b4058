# SPDX-License-Identifier: Apache-2.0
"""The solid parts that shapes are built of. Every part is convex, so distances between objects are exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gar_ros.sim.scene import SceneObject
from gar_ros.sim.transforms import IDENTITY, Quaternion, Vec3, about_axis, multiply, to_matrix

MAX_PARTS = 20

_WALL_SEGMENTS = 16
_BOWL_BASE = 0.62  # diameter of a bowl's base as a fraction of its rim's
_MUG_WALL = 0.05  # wall thickness as a fraction of the diameter, as for the next three
_BOWL_WALL = 0.035
_HANDLE_REACH = 0.30  # how far a mug's handle stands out, of its diameter
_HANDLE_RADIUS = 0.055


@dataclass(frozen=True)
class Part:
    """A primitive in its object's frame. kind and half sizes as MuJoCo's: box (x, y, z), sphere (radius), cylinder and
    capsule (radius, half length of the straight piece)."""

    kind: str
    half: Vec3
    position: Vec3 = (0.0, 0.0, 0.0)
    orientation: Quaternion = IDENTITY


def parts_of(item: SceneObject) -> tuple[Part, ...]:
    """The convex parts of an object, in its own frame, metres."""
    return _parts(item.shape, item.dimensions)


@lru_cache(maxsize=256)
def _parts(shape: str, dimensions: Vec3) -> tuple[Part, ...]:
    x, y, z = dimensions
    if shape == "box":
        return (Part("box", (x / 2, y / 2, z / 2)),)
    if shape == "ball":
        return (Part("sphere", (x / 2, 0.0, 0.0)),)
    if shape == "cylinder":
        return (Part("cylinder", (x / 2, z / 2, 0.0)),)
    if shape == "capsule":
        return (Part("capsule", (x / 2, (z - x) / 2, 0.0)),)
    if shape == "mug":
        return _vessel(x / 2, x / 2, z, _MUG_WALL * x) + _handle(x, z)
    if shape == "bowl":
        return _vessel(_BOWL_BASE * x / 2, x / 2, z, _BOWL_WALL * x)
    raise ValueError(f"expected one of the shapes in scene.SHAPES, got '{shape}'")


def opening(item: SceneObject) -> tuple[float, float]:
    """Inner radius of a bowl or mug at its base and at its rim, metres."""
    diameter = item.dimensions[0]
    if item.shape == "mug":
        return (0.5 - _MUG_WALL) * diameter, (0.5 - _MUG_WALL) * diameter
    return (_BOWL_BASE / 2 - _BOWL_WALL) * diameter, (0.5 - _BOWL_WALL) * diameter


def is_upright(item: SceneObject) -> bool:
    """Whether the object's own axis points up."""
    return bool(to_matrix(item.orientation)[2, 2] > 0.999)


def half_height(item: SceneObject) -> float:
    """Distance of the lowest point from the object's centre in its present orientation, metres."""
    up = to_matrix(item.orientation)[2]
    x, y, z = item.dimensions
    if item.shape == "box":
        return float(abs(up[0]) * x + abs(up[1]) * y + abs(up[2]) * z) / 2
    if item.shape == "ball":
        return x / 2
    if item.shape == "capsule":
        return float(abs(up[2])) * (z - x) / 2 + x / 2
    return float(abs(up[2]) * z + math.sqrt(max(0.0, 1 - up[2] ** 2)) * x) / 2


def reach(item: SceneObject) -> float:
    """Radius of a sphere around the object's centre that holds all of it, metres."""
    x, y, z = item.dimensions
    if item.shape == "ball":
        return x / 2
    if item.shape == "capsule":
        return z / 2
    if item.shape == "mug":
        return math.hypot(x * (0.5 + _HANDLE_REACH + _HANDLE_RADIUS), z / 2)
    if item.shape == "bowl":  # its flat wall segments stand out a little over the circle
        return math.hypot(x / 2 / math.cos(math.pi / _WALL_SEGMENTS) * 1.05, z / 2)
    return math.hypot(x, y, z) / 2 if item.shape == "box" else math.hypot(x, z) / 2


def footprint(item: SceneObject) -> float:
    """Radius of an upright object's body seen from above (a box: of its inscribed circle), metres."""
    return min(item.dimensions[0], item.dimensions[1]) / 2


def _vessel(base: float, rim: float, height: float, wall: float) -> tuple[Part, ...]:
    """A base disc and a ring of flat segments leaning out from radius `base` to radius `rim`."""
    slope = math.atan2(rim - base, height)
    length = (height - wall * math.sin(slope)) / math.cos(slope)  # the inner edge ends at the rim's height
    half_width = rim * math.tan(math.pi / _WALL_SEGMENTS)
    along = np.array([math.sin(slope), 0.0, math.cos(slope)])
    inwards = np.array([-math.cos(slope), 0.0, math.sin(slope)])
    centre = np.array([base, 0.0, -height / 2]) + along * length / 2 + inwards * wall / 2
    quarter = about_axis((0.0, 0.0, 1.0), -math.pi / 2)
    parts = [Part("cylinder", (base - wall / 2, wall / 2, 0.0), (0.0, 0.0, -height / 2 + wall / 2))]
    for k in range(_WALL_SEGMENTS):
        turn = about_axis((0.0, 0.0, 1.0), 2 * math.pi * (k + 0.5) / _WALL_SEGMENTS)
        x, y, z = (float(value) for value in to_matrix(turn) @ centre)
        lean = multiply(turn, about_axis((0.0, 1.0, 0.0), slope))
        # A box's stripes run level on its y faces: those look outwards and inwards.
        parts.append(Part("box", (half_width, wall / 2, length / 2), (x, y, z), multiply(lean, quarter)))
    return tuple(parts)


def _handle(diameter: float, height: float) -> tuple[Part, ...]:
    """A mug's handle: two bars that leave the wall along x and one that joins them."""
    radius, out, rise = _HANDLE_RADIUS * diameter, _HANDLE_REACH * diameter, 0.27 * height
    along_x = about_axis((0.0, 1.0, 0.0), math.pi / 2)
    middle = diameter / 2 + out / 2 - radius / 2
    bar = (radius, out / 2 - radius / 2, 0.0)
    return (
        Part("capsule", bar, (middle, 0.0, rise), along_x),
        Part("capsule", bar, (middle, 0.0, -rise), along_x),
        Part("capsule", (radius, rise, 0.0), (diameter / 2 + out - radius, 0.0, 0.0)),
    )
