"""What is true of a rendered scene: which objects can be asked about, and how they stand to each other.

A relation between two objects is a matrix (n, n) int8, [i, j] about "object i ... object j": YES, NO, or UNCLEAR where
a person could not say for sure. Margins are in metres or parts of the picture, named below.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gar_ros.sim.contact import NO, UNCLEAR, YES, gaps_between, rests_in, rests_on
from gar_ros.sim.scene import Scene, SceneObject, project
from gar_ros.sim.silhouette import silhouette_area
from gar_ros.sim.transforms import to_matrix

MIN_VISIBLE = 0.45  # of an object's silhouette, for it to be asked about
MIN_PIXELS = 0.0006  # of the picture
LEFT_MARGIN = 0.035  # of the picture's width
GROUND_MARGIN = 0.03  # metres
TOUCHING, APART = 0.0015, 0.008  # metres between surfaces

RELATIONS = ("left_of", "in_front", "nearer", "on_top", "inside", "touching", "same_colour", "same_shape", "larger")

Matrix = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class SceneTruth:
    """Truth about the n objects of a scene, in the order of `scene.objects`.

    pixels: int (n,), seen pixels. visible: float (n,), their share of the silhouette. askable: bool (n,).
    centroid: float (n, 2), of the seen pixels, NaN without any; centre: float (n, 2), projected; both x, y in pixels.
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
        places = np.array([thing.position[:2] for thing in self.scene.objects])
        sizes = np.array([max(thing.dimensions[:2]) / 2 for thing in self.scene.objects])
        away = np.linalg.norm(places[list(others)] - places[item], axis=1)
        order = np.argsort(away)
        first, second = others[order[0]], others[order[1]]
        # Clear between centres and between surfaces alike.
        margin = GROUND_MARGIN + abs(sizes[first] - sizes[second])
        return first if away[order[1]] - away[order[0]] >= margin else None

    def between(self, item: int, one: int, two: int) -> int:
        """Whether `item` stands on the table between two others: YES, NO or UNCLEAR."""
        at, start, end = (np.array(self.scene.objects[i].position[:2]) for i in (item, one, two))
        along = end - start
        length = float(np.linalg.norm(along))
        if length < 2 * GROUND_MARGIN:
            return UNCLEAR
        share = float((at - start) @ along) / length**2
        aside = abs(along[0] * (at - start)[1] - along[1] * (at - start)[0]) / length**2
        if 0.2 <= share <= 0.8 and aside <= 0.2:
            return YES
        return NO if share <= -0.1 or share >= 1.1 or aside >= 0.5 else UNCLEAR


def scene_truth(scene: Scene, labels: NDArray[np.uint8]) -> SceneTruth:
    """Truth about a scene as drawn; labels: uint8 (H, W), 0 nothing, i + 1 object i."""
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
    """Seen pixels (count,) and their mean place (count, 2) x, y."""
    rows, columns = np.nonzero(labels)
    ids = labels[rows, columns]
    pixels = np.bincount(ids, minlength=count + 1)[1:]
    sums = np.stack([np.bincount(ids, weights=axis, minlength=count + 1)[1:] for axis in (columns, rows)], 1)
    with np.errstate(invalid="ignore"):
        return pixels, sums / pixels[:, None]


def _less(values: NDArray[np.float64], margin: float) -> Matrix:
    """[i, j] YES where value i is smaller than value j by the margin, NO where it is larger by it."""
    difference = values[None, :] - values[:, None]
    return np.where(difference >= margin, YES, np.where(difference <= -margin, NO, UNCLEAR)).astype(np.int8)


def _agree(one: Matrix, two: Matrix) -> Matrix:
    return np.where(one == two, one, UNCLEAR).astype(np.int8)


def _equal(values: list[str]) -> Matrix:
    array = np.array(values)
    return (array[:, None] == array[None, :]).astype(np.int8)


def _touching(objects: tuple[SceneObject, ...]) -> Matrix:
    gaps = gaps_between(objects, APART)
    return np.where(gaps <= TOUCHING, YES, np.where(gaps >= APART, NO, UNCLEAR)).astype(np.int8)


def _supports(objects: tuple[SceneObject, ...]) -> tuple[Matrix, Matrix]:
    """Matrices on_top and inside; UNCLEAR about the lowest of three when one is on or in another on or in the third."""
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
