# SPDX-License-Identifier: Apache-2.0
"""How large an object would look with nothing in front of it, from the outlines of its parts, without rendering."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.sim.scene import Camera, SceneObject, project
from gar_ros.sim.shapes import Part, parts_of
from gar_ros.sim.transforms import to_matrix

# The canvas is 2 ** _SHIFT times finer than the picture, since cv2 paints every pixel that an outline touches.
_SHIFT = 2
_ANGLES = np.linspace(0, 2 * math.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)
_CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


def silhouette_area(item: SceneObject, camera: Camera, width: int, height: int) -> float:
    """Number of pixels that the object would cover alone, also those outside the picture of width x height pixels."""
    intrinsics = camera.intrinsics(width, height)
    outlines = [cv2.convexHull(_outline(item, part, camera, intrinsics)) for part in parts_of(item)]
    corner = np.min([outline.min((0, 1)) for outline in outlines], axis=0)
    size = np.max([outline.max((0, 1)) for outline in outlines], axis=0) - corner
    canvas = np.zeros(np.ceil(size[::-1] * 2**_SHIFT).astype(int) + 1, np.uint8)
    for outline in outlines:
        cv2.fillConvexPoly(canvas, np.round((outline - corner) * 2**_SHIFT).astype(np.int32), 1)
    return float(canvas.sum()) / 4**_SHIFT


def _outline(item: SceneObject, part: Part, camera: Camera, intrinsics: NDArray[np.float64]) -> NDArray[np.float32]:
    """Pixel coordinates (n, 2) whose convex hull is the part's picture."""
    turn = to_matrix(item.orientation)
    centre, axes = np.array(item.position) + turn @ np.array(part.position), turn @ to_matrix(part.orientation)
    if part.kind == "box":
        points = camera.to_optical(centre + (_CORNERS * part.half) @ axes.T)
    elif part.kind == "cylinder":
        radius, half = part.half[:2]
        rims = [np.column_stack([_CIRCLE * radius, np.full(len(_CIRCLE), z)]) for z in (-half, half)]
        points = camera.to_optical(centre + np.concatenate(rims) @ axes.T)
    else:
        radius, half = part.half[0], part.half[1] if part.kind == "capsule" else 0.0
        ends = camera.to_optical(np.array([centre - axes[:, 2] * half, centre + axes[:, 2] * half]))
        points = np.concatenate([_sphere_contour(end, radius) for end in ends])
    return project(points, intrinsics).astype(np.float32)


def _sphere_contour(centre: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    """Points (n, 3) of the circle on a sphere that the camera at the origin sees as its outline."""
    distance = float(np.linalg.norm(centre))
    ray = centre / distance
    side = np.cross(ray, (0.0, 1.0, 0.0))
    side /= np.linalg.norm(side)
    shrink = radius / distance
    circle = _CIRCLE @ np.stack([side, np.cross(ray, side)]) * radius * math.sqrt(1 - shrink**2)
    return centre * (1 - shrink**2) + circle
