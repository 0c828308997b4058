# SPDX-License-Identifier: Apache-2.0
"""The ground truth of a rendered scene: which objects can be asked about, and the relations between them.

A relation between two objects is a matrix (n, n) int8, [i, j] about "object i ... object j": YES, NO, or UNCLEAR where
a person could not say for sure. The margins below are in metres or fractions of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gar_ros.sim.contact import NO, UNCLEAR, YES, gaps_between, rests_in, rests_on
from gar_ros.sim.scene import Scene, SceneObject, project
from gar_ros.sim.silhouette import silhouette_area
from gar_ros.sim.transforms import to_matrix

MIN_VISIBLE = 0.45  # least visible fraction of the silhouette of an object that can be asked about
MIN_PIXELS = 0.0006  # its least fraction of the picture's pixels
LEFT_MARGIN = 0.035  # fraction of the picture's width
GROUND_MARGIN = 0.03  # metres
TOUCHING, APART = 0.0015, 0.008  # metres between surfaces

RELATIONS = ("left_of", "in_front", "nearer", "on_top", "inside", "touching", "same_colour", "same_shape", "larger")

Matrix = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class SceneTruth:
    """Truth about the n objects of a scene, in the order of `scene.objects`.

    pixels: int (n,), number of visible pixels. visible: float (n,), their fraction of the silhouette. askable: bool
    (n,), whether an object can be asked about. centroid: float (n, 2), mean x, y of the visible pixels, NaN for
    none. centre: float (n, 2), x, y in pixels of the projected object's centre.
    distance: float (n,), metres from the camera to the object's centre. relations: name in `RELATIONS` -> matrix.
    """

    scene: Scene
    pixels: NDArray[np.int64]
    visible: NDArray[np.float64]
    askable: NDArray[np.bool_]
    centroid: NDArray[np.float64]
    centre: NDArray[np.float64]
    distance: NDArray[np.float64]
    relations: dict[str, Matrix]

    def closest(self, item: int, others: tuple[int, ...]) -> int | None:
        """Which of `others` stands closest to `item` on the table, None when it is not clear."""
        positions = np.array([thing.position[:2] for thing in self.scene.objects])
        sizes = np.array([max(thing.dimensions[:2]) / 2 for thing in self.scene.objects])
        distances = np.linalg.norm(positions[list(others)] - positions[item], axis=1)
        order = np.argsort(distances)
        first, second = others[order[0]], others[order[1]]
        # Large enough for the answer to be the same between centres and between surfaces.
        margin = GROUND_MARGIN + abs(sizes[first] - sizes[second])
        return first if distances[order[1]] - distances[order[0]] >= margin else None

    def between(self, item: int, first: int, second: int) -> int:
        """Whether `item` stands on the table between the first and the second object: YES, NO or UNCLEAR."""
        point, start, end = (np.array(self.scene.objects[i].position[:2]) for i in (item, first, second))
        along = end - start
        length = float(np.linalg.norm(along))
        if length < 2 * GROUND_MARGIN:
            return UNCLEAR
        share = float((point - start) @ along) / length**2
        aside = abs(along[0] * (point - start)[1] - along[1] * (point - start)[0]) / length**2
        if 0.2 <= share <= 0.8 and aside <= 0.2:
            return YES
        return NO if share <= -0.1 or share >= 1.1 or aside >= 0.5 else UNCLEAR


def scene_truth(scene: Scene, labels: NDArray[np.uint8]) -> SceneTruth:
    """The ground truth of a rendered scene. labels: (H, W) uint8, 0 for nothing, i + 1 for object i."""
    height, width = labels.shape
    objects, camera = scene.objects, scene.camera
    positions = np.array([item.position for item in objects])
    pixels, centroid = _measure(labels, len(objects))
    area = np.array([silhouette_area(item, camera, width, height) for item in objects])
    visible = np.minimum(1.0, pixels / area)
    centre = project(camera.to_optical(positions), camera.intrinsics(width, height))
    distance = np.linalg.norm(positions - camera.position, axis=1)
    forward = to_matrix(camera.orientation)[:2, 2]
    ground = positions[:, :2] @ (forward / np.linalg.norm(forward))
    on_top, inside = _supports(objects)
    relations = {
        "left_of": _agree(_less(centroid[:, 0], LEFT_MARGIN * width), _less(centre[:, 0], LEFT_MARGIN * width)),
        "in_front": _less(ground, GROUND_MARGIN),
        "nearer": _less(distance, GROUND_MARGIN),
        "on_top": on_top,
        "inside": inside,
        "touching": _touching(objects),
        "same_colour": _equal([item.colour for item in objects]),
        "same_shape": _equal([item.shape for item in objects]),
        "larger": _less(np.array([-1.0 if item.size == "large" else 0.0 for item in objects]), 0.5),
    }
    for matrix in relations.values():
        np.fill_diagonal(matrix, UNCLEAR)
    askable = (visible >= MIN_VISIBLE) & (pixels >= MIN_PIXELS * labels.size)
    return SceneTruth(scene, pixels, visible, askable, centroid, centre, distance, relations)


def _measure(labels: NDArray[np.uint8], count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number of visible pixels (count,) of each object and their mean x, y (count, 2), NaN without any."""
    rows, columns = np.nonzero(labels)
    ids = labels[rows, columns]
    pixels = np.bincount(ids, minlength=count + 1)[1:]
    sums = np.stack([np.bincount(ids, weights=axis, minlength=count + 1)[1:] for axis in (columns, rows)], 1)
    with np.errstate(invalid="ignore"):
        return pixels, sums / pixels[:, None]


def _less(values: NDArray[np.float64], margin: float) -> Matrix:
    """A relation: [i, j] is YES where value i is smaller than value j by the margin, NO where it is larger by it."""
    difference = values[None, :] - values[:, None]
    return np.where(difference >= margin, YES, np.where(difference <= -margin, NO, UNCLEAR)).astype(np.int8)


def _agree(first: Matrix, second: Matrix) -> Matrix:
    return np.where(first == second, first, UNCLEAR).astype(np.int8)


def _equal(values: list[str]) -> Matrix:
    array = np.array(values)
    return (array[:, None] == array[None, :]).astype(np.int8)


def _touching(objects: tuple[SceneObject, ...]) -> Matrix:
    gaps = gaps_between(objects, APART)
    return np.where(gaps <= TOUCHING, YES, np.where(gaps >= APART, NO, UNCLEAR)).astype(np.int8)


def _supports(objects: tuple[SceneObject, ...]) -> tuple[Matrix, Matrix]:
    """The relations on_top and inside; UNCLEAR for objects of a stack that aren't next to each other."""
    pairs = [(i, j) for i in range(len(objects)) for j in range(len(objects)) if i != j]
    on_top, inside = np.zeros((2, len(objects), len(objects)), np.int8)
    for i, j in pairs:
        on_top[i, j] = rests_on(objects[i], objects[j])
        inside[i, j] = rests_in(objects[i], objects[j])
    direct = (on_top == YES) | (inside == YES)
    above = direct.copy()
    for _ in objects:
        above |= (above.astype(np.uint8) @ direct.astype(np.uint8)) > 0
    for matrix in (on_top, inside):
        matrix[above & ~direct] = UNCLEAR
    return on_top, inside
