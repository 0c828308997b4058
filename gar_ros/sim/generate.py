"""Random scenes from a seed: what stands where, stacked, inside and touching, seen by a random camera."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gar_ros.sim.contact import is_base, world_of_this_thread
from gar_ros.sim.scene import (
    COLOUR_RGB,
    COLOURS,
    FINISHES,
    SHAPES,
    SIZES,
    TABLE_SURFACES,
    Camera,
    Light,
    Scene,
    SceneObject,
    project,
)
from gar_ros.sim.shapes import opening, footprint, half_height, reach
from gar_ros.sim.transforms import Quaternion, Vec3, about_axis, multiply, to_vec3

CLEARANCE = 0.012  # metres between objects that do not touch
CONTACT = 0.0004  # metres left between objects that do, so that they never overlap

_SIZE_RANGE = {"small": (0.040, 0.046), "large": (0.066, 0.074)}  # metres, geometric mean of the three extents
_TRIES = 40
_TABLE_RGB = ((0.55, 0.42, 0.30), (0.72, 0.64, 0.52), (0.50, 0.50, 0.52), (0.74, 0.74, 0.74), (0.38, 0.28, 0.20), (0.42, 0.47, 0.50))


def random_scene(seed: int | np.random.Generator, count: tuple[int, int] = (3, 8)) -> Scene:
    """A scene of `count` = (fewest, most) objects, both counted in, up to `MAX_OBJECTS`. The same seed gives the same scene."""
    rng = np.random.default_rng(seed)
    objects = _random_objects(rng, int(rng.integers(count[0], count[1] + 1)))
    return Scene(
        objects=objects,
        camera=_random_camera(rng, objects),
        lights=(_random_light(rng, 0.4, 0.7), _random_light(rng, 0.1, 0.4)),
        ambient=float(rng.uniform(0.28, 0.42)),
        table_rgb=_vary(rng, _TABLE_RGB[rng.integers(len(_TABLE_RGB))]),
        table_surface=str(rng.choice(TABLE_SURFACES)),
        floor_rgb=_vary(rng, (0.3, 0.3, 0.33)),
    )


def make_object(rng: np.random.Generator, shape: str, colour: str, size: str, finish: str, lying: bool = False) -> SceneObject:
    """An object with random proportions, shade and yaw, at the origin. lying: a cylinder or capsule with its axis level."""
    extents = np.array(_proportions(rng, shape))
    dimensions = extents * rng.uniform(*_SIZE_RANGE[size]) / extents.prod() ** (1 / 3)
    turn: Quaternion = about_axis((0.0, 0.0, 1.0), rng.uniform(-math.pi, math.pi))
    if lying:
        turn = multiply(turn, about_axis((0.0, 1.0, 0.0), math.pi / 2))
    return SceneObject(
        shape=shape,
        colour=colour,
        size=size,
        finish=finish,
        dimensions=to_vec3(dimensions),
        orientation=turn,
        rgb=_vary(rng, COLOUR_RGB[colour]),
        specular=float(rng.uniform(0.0, 1.0)),
        shininess=float(rng.uniform(0.1, 0.8)),
    )


def _proportions(rng: np.random.Generator, shape: str) -> Vec3:
    if shape == "box":
        return to_vec3(rng.uniform(0.82, 1.2, 3))
    low, high = {"ball": (1.0, 1.0), "cylinder": (1.05, 1.5), "capsule": (2.0, 2.4), "mug": (1.0, 1.3), "bowl": (0.36, 0.45)}[shape]
    return (1.0, 1.0, float(rng.uniform(low, high)))


def _vary(rng: np.random.Generator, rgb: Vec3) -> Vec3:
    return to_vec3(np.clip(np.array(rgb) * rng.uniform(0.88, 1.1) + rng.uniform(-0.03, 0.03, 3), 0.02, 0.98))


def _random_light(rng: np.random.Generator, low: float, high: float) -> Light:
    position = (float(rng.uniform(-0.8, 0.8)), float(rng.uniform(-1.2, 0.5)), float(rng.uniform(1.0, 2.0)))
    return Light(position, to_vec3(rng.uniform(low, high) * rng.uniform(0.92, 1.05, 3)))


def _random_camera(rng: np.random.Generator, objects: tuple[SceneObject, ...]) -> Camera:
    """As close as shows every object whole in a 4:3 picture, but not closer than 0.5 m."""
    centres = np.array([item.position for item in objects])
    radii = np.array([reach(item) for item in objects])
    azimuth, elevation = rng.uniform(-0.6, 0.6), math.radians(rng.uniform(30, 60))
    target = (centres.min(0) + centres.max(0)) / 2 + np.array([*rng.uniform(-0.015, 0.015, 2), 0.0])
    back = np.array([-math.sin(azimuth) * math.cos(elevation), -math.cos(azimuth) * math.cos(elevation), math.sin(elevation)])
    fovy, roll, distance = rng.uniform(40, 46), rng.normal(0, 0.03), rng.uniform(0.5, 0.55)
    while True:
        camera = Camera.looking_at(to_vec3(target + back * distance), to_vec3(target), float(fovy), float(roll))
        points = camera.to_optical(centres)
        intrinsics = camera.intrinsics(640, 480)
        margin = intrinsics[0, 0] * radii / points[:, 2] + 4
        u, v = project(points, intrinsics).T
        if (np.minimum(u, 639 - u) > margin).all() and (np.minimum(v, 479 - v) > margin).all():
            return camera
        distance *= 1.03


def _random_objects(rng: np.random.Generator, count: int) -> tuple[SceneObject, ...]:
    spread = 0.06 * math.sqrt(count) + 0.02
    while True:
        layout = _Layout(rng, spread)
        if all(layout.add(first=index == 0) for index in range(count)):
            return tuple(layout.objects)
        spread *= 1.04


class _Layout:
    """Objects put down one after another without overlap."""

    def __init__(self, rng: np.random.Generator, spread: float) -> None:
        """spread: half width of the area along x, metres; along y three quarters of it."""
        self.objects: list[SceneObject] = []
        self._rng, self._spread = rng, spread
        self._busy: set[int] = set()  # indexes with something on or in them, or that stand on or in something
        self._world = world_of_this_thread()
        self._world.set_objects([])

    def add(self, first: bool) -> bool:
        """Adds one object; False when no place was found."""
        rng, roll = self._rng, self._rng.random()
        inside = [i for i, item in enumerate(self.objects) if item.shape == "bowl" and item.size == "large" and i not in self._busy]
        bases = [i for i, item in enumerate(self.objects) if is_base(item) and i not in self._busy]
        if inside and roll < 0.45:
            return self._try(self._draw(size="small", not_shape="bowl"), self._inside, int(rng.choice(inside)))
        if bases and roll < 0.3:
            base = int(rng.choice(bases))
            size = "small" if self.objects[base].size == "small" else None
            return self._try(self._draw(size=size, not_shape=None if size is None else "bowl"), self._on_top, base)
        if self.objects and roll < 0.5:
            return self._try(self._draw(), self._beside, int(rng.integers(len(self.objects))))
        if first and roll < 0.3:
            return self._try(self._draw(size="large", shape="bowl"), self._free, -1)
        return self._try(self._draw(), self._free, -1)

    def _draw(self, shape: str | None = None, size: str | None = None, not_shape: str | None = None) -> SceneObject:
        """Random attributes; some repeat those of another object so that equal pairs are common."""
        rng = self._rng
        like = self.objects[rng.integers(len(self.objects))] if self.objects else None
        same_colour, same_shape = rng.random() < 0.2, rng.random() < 0.12
        colour = like.colour if like and same_colour else str(rng.choice(COLOURS))
        chosen = shape or (like.shape if like and same_shape else str(rng.choice(SHAPES)))
        while chosen == not_shape:
            chosen = str(rng.choice(SHAPES))
        lying = rng.random() < {"capsule": 0.75, "cylinder": 0.2}.get(chosen, 0.0)
        return make_object(rng, chosen, colour, size or str(rng.choice(SIZES)), str(rng.choice(FINISHES)), lying)

    def _try(self, item: SceneObject, place: Callable[[SceneObject, int], SceneObject | None], other: int) -> bool:
        """Puts `item` where `place` says, if it is clear of everything but `other`."""
        slot = len(self.objects)
        for _ in range(_TRIES):
            placed = place(item, other)
            if placed is None or not self._in_area(placed):
                continue
            self._world.set_object(slot, placed)
            if all(self._world.gap(slot, i, CLEARANCE) >= CLEARANCE for i in range(slot) if i != other):
                self.objects.append(placed)
                if place != self._free and place != self._beside:
                    self._busy |= {slot, other} if placed.shape not in ("box", "cylinder") or self._rng.random() < 0.7 else {other}
                return True
        self._world.set_object(slot, None)
        return False

    def _in_area(self, item: SceneObject) -> bool:
        return abs(item.position[0]) <= self._spread and abs(item.position[1]) <= 0.75 * self._spread

    def _free(self, item: SceneObject, _: int) -> SceneObject:
        x, y = self._rng.uniform(-self._spread, self._spread), self._rng.uniform(-0.75, 0.75) * self._spread
        return replace(item, position=(float(x), float(y), half_height(item)))

    def _beside(self, item: SceneObject, other: int) -> SceneObject | None:
        """Standing on the table and touching `other` from a random side."""
        neighbour = self.objects[other]
        if neighbour.position[2] > half_height(neighbour) + CONTACT:
            return None
        angle = self._rng.uniform(-math.pi, math.pi)
        side, start = np.array([math.cos(angle), math.sin(angle), 0.0]), np.array([*neighbour.position[:2], half_height(item)])
        return self._approach(item, other, start, side, reach(item) + reach(neighbour) + CONTACT)

    def _on_top(self, item: SceneObject, base: int) -> SceneObject | None:
        under = self.objects[base]
        if reach(item) > 2 * footprint(under) and item.shape != "capsule":
            return None
        x, y = under.position[:2] + self._rng.uniform(-0.4, 0.4, 2) * footprint(under)
        z = under.position[2] + half_height(under) + half_height(item) + CONTACT
        return replace(item, position=(float(x), float(y), float(z)))

    def _inside(self, item: SceneObject, bowl: int) -> SceneObject | None:
        """Let down into a bowl until it rests on it, well below the rim."""
        around = self.objects[bowl]
        x, y = around.position[:2] + self._rng.uniform(-0.2, 0.2, 2) * opening(around)[0]
        floor = around.position[2] - half_height(around)
        start = np.array([x, y, floor + half_height(item)])
        placed = self._approach(item, bowl, start, np.array([0.0, 0.0, 1.0]), around.dimensions[2] + CONTACT)
        sunk = 2 * half_height(around) + floor - (placed.position[2] - half_height(item))
        return placed if sunk > 0.4 * around.dimensions[2] else None

    def _approach(self, item: SceneObject, other: int, start: np.ndarray, direction: np.ndarray, far: float) -> SceneObject:
        """The nearest place to `start` along `direction`, at most `far` metres away, where `item` does not overlap `other`."""
        slot, low, high = len(self.objects), 0.0, far
        for _ in range(10):
            middle = (low + high) / 2
            self._world.set_object(slot, replace(item, position=to_vec3(start + direction * middle)))
            if self._world.gap(slot, other, CLEARANCE) > CONTACT:
                high = middle
            else:
                low = middle
        return replace(item, position=to_vec3(start + direction * high))
