# SPDX-License-Identifier: Apache-2.0
"""Random objects and their positions: free, touching, on top of or inside one another, never overlapping."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gar_ros.sim.contact import is_base, world_of_this_thread
from gar_ros.sim.scene import COLOUR_RGB, COLOURS, FINISHES, SHAPES, SIZES, SceneObject
from gar_ros.sim.shapes import footprint, half_height, opening, reach
from gar_ros.sim.transforms import Vec3, about_axis, multiply, to_vec3

CLEARANCE = 0.012  # metres between objects that do not touch
CONTACT = 0.0004  # metres left between objects that do, so that they never overlap

_SIZE_RANGE = {"small": (0.040, 0.046), "large": (0.066, 0.074)}  # metres, geometric mean of the three extents
_LENGTH = {"ball": (1.0, 1.0), "cylinder": (1.05, 1.5), "capsule": (2.0, 2.4), "mug": (1.0, 1.3), "bowl": (0.36, 0.45)}
_LYING = {"capsule": 0.75, "cylinder": 0.2}  # probability
_TRIES = 40

Placement = Callable[[SceneObject, int], "SceneObject | None"]
"""Called with an object and the index of another one. Returns the object at a position, or None without a position."""


def make_object(
    rng: np.random.Generator, shape: str, colour: str, size: str, finish: str, lying: bool = False
) -> SceneObject:
    """An object with random proportions, shade and yaw, at the origin. lying: whether its axis is horizontal."""
    length = (1.0, 1.0, rng.uniform(*_LENGTH[shape])) if shape in _LENGTH else rng.uniform(0.82, 1.2, 3)
    extents = np.array(length)
    dimensions = extents * rng.uniform(*_SIZE_RANGE[size]) / extents.prod() ** (1 / 3)
    turn = about_axis((0.0, 0.0, 1.0), rng.uniform(-math.pi, math.pi))
    if lying:
        turn = multiply(turn, about_axis((0.0, 1.0, 0.0), math.pi / 2))
    return SceneObject(
        shape=shape,
        colour=colour,
        size=size,
        finish=finish,
        dimensions=to_vec3(dimensions),
        orientation=turn,
        rgb=vary(rng, COLOUR_RGB[colour]),
        specular=float(rng.uniform(0.0, 1.0)),
        shininess=float(rng.uniform(0.1, 0.8)),
    )


def vary(rng: np.random.Generator, rgb: Vec3) -> Vec3:
    """A shade near `rgb`."""
    return to_vec3(np.clip(np.array(rgb) * rng.uniform(0.88, 1.1) + rng.uniform(-0.03, 0.03, 3), 0.02, 0.98))


class Layout:
    """Objects that are put on the table one after another."""

    def __init__(self, rng: np.random.Generator, spread: float) -> None:
        """spread: half the width of the area along x, metres; along y the area is three quarters as wide."""
        self.objects: list[SceneObject] = []
        self._rng, self._spread = rng, spread
        self._taken: set[int] = set()  # indexes of objects on or into which nothing more is put
        self._world = world_of_this_thread()
        self._world.set_objects([])

    def add(self) -> bool:
        """Adds one object; False when no position was found."""
        rng, roll = self._rng, self._rng.random()
        free = [(i, item) for i, item in enumerate(self.objects) if i not in self._taken]
        vessels = [i for i, item in free if item.shape == "bowl" and item.size == "large"]
        bases = [i for i, item in free if is_base(item)]
        if vessels and roll < 0.7:
            return self._put(self._draw(size="small", excluded="bowl"), self._inside, int(rng.choice(vessels)))
        if bases and roll < 0.4:
            base = int(rng.choice(bases))
            return self._put(self._draw(size=self._size_on(self.objects[base])), self._on_top, base)
        if self.objects and roll < 0.55:
            return self._put(self._draw(), self._beside, int(rng.integers(len(self.objects))))
        return self._put(self._draw(), self._free, -1)

    def _size(self) -> str:
        """Somewhat more often large, because what goes on or into something is mostly small."""
        return SIZES[int(self._rng.random() < 0.56)]

    def _size_on(self, base: SceneObject) -> str | None:
        return "small" if base.size == "small" or self._rng.random() < 0.6 else None

    def _draw(self, size: str | None = None, excluded: str | None = None) -> SceneObject:
        """A random object, often like an earlier one so that equal pairs are common. excluded: a shape to avoid."""
        rng = self._rng
        like = self.objects[rng.integers(len(self.objects))] if self.objects else None
        colour = like.colour if like and rng.random() < 0.2 else str(rng.choice(COLOURS))
        repeated = like is not None and rng.random() < 0.12 and like.shape != excluded
        shape = like.shape if like and repeated else str(rng.choice([name for name in SHAPES if name != excluded]))
        lying = rng.random() < _LYING.get(shape, 0.0)
        return make_object(rng, shape, colour, size or self._size(), str(rng.choice(FINISHES)), lying)

    def _put(self, item: SceneObject, placement: Placement, other: int) -> bool:
        """Adds `item` where `placement` puts it, clear of all objects but `other`; False when that fails."""
        slot = len(self.objects)
        for _ in range(_TRIES):
            placed = placement(item, other)
            if placed is None or not self._in_area(placed):
                continue
            self._world.set_object(slot, placed)
            if all(self._world.gap(slot, i, CLEARANCE) >= CLEARANCE for i in range(slot) if i != other):
                self.objects.append(placed)
                if placed.position[2] > half_height(placed) + CONTACT:  # it stands on or in `other`
                    self._taken |= {other, slot} if self._rng.random() < 0.6 else {other}
                return True
        self._world.set_object(slot, None)
        return False

    def _in_area(self, item: SceneObject) -> bool:
        return abs(item.position[0]) <= self._spread and abs(item.position[1]) <= 0.75 * self._spread

    def _free(self, item: SceneObject, _: int) -> SceneObject:
        x, y = self._rng.uniform(-self._spread, self._spread), self._rng.uniform(-0.75, 0.75) * self._spread
        return replace(item, position=(float(x), float(y), half_height(item)))

    def _beside(self, item: SceneObject, other: int) -> SceneObject | None:
        """`item` on the table, touching `other` on a random side; None when `other` doesn't stand on the table."""
        neighbour = self.objects[other]
        if neighbour.position[2] > half_height(neighbour) + CONTACT:
            return None
        angle = self._rng.uniform(-math.pi, math.pi)
        side = np.array([math.cos(angle), math.sin(angle), 0.0])
        start = np.array([*neighbour.position[:2], half_height(item)])
        return self._approach(item, other, start, side, reach(item) + reach(neighbour) + CONTACT)

    def _on_top(self, item: SceneObject, base: int) -> SceneObject | None:
        under = self.objects[base]
        if reach(item) > 2 * footprint(under) and item.shape != "capsule":
            return None
        x, y = under.position[:2] + self._rng.uniform(-0.4, 0.4, 2) * footprint(under)
        z = under.position[2] + half_height(under) + half_height(item) + CONTACT
        return replace(item, position=(float(x), float(y), float(z)))

    def _inside(self, item: SceneObject, bowl: int) -> SceneObject | None:
        """`item` let down into a bowl until it touches it; None when it ends too near the rim."""
        around = self.objects[bowl]
        x, y = around.position[:2] + self._rng.uniform(-0.2, 0.2, 2) * opening(around)[0]
        floor = around.position[2] - half_height(around)
        start = np.array([x, y, floor + half_height(item)])
        placed = self._approach(item, bowl, start, np.array([0.0, 0.0, 1.0]), around.dimensions[2] + CONTACT)
        sunk = floor + around.dimensions[2] - (placed.position[2] - half_height(item))
        return placed if sunk > 0.4 * around.dimensions[2] else None

    def _approach(
        self, item: SceneObject, other: int, start: NDArray[np.float64], direction: NDArray[np.float64], far: float
    ) -> SceneObject:
        """`item` moved from `start` along `direction`, at most `far` metres, until it is clear of `other`."""
        slot, low, high = len(self.objects), 0.0, far
        for _ in range(10):
            middle = (low + high) / 2
            self._world.set_object(slot, replace(item, position=to_vec3(start + direction * middle)))
            if self._world.gap(slot, other, CLEARANCE) > CONTACT:
                high = middle
            else:
                low = middle
        return replace(item, position=to_vec3(start + direction * high))
