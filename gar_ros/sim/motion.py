# SPDX-License-Identifier: Apache-2.0
"""Objects that wander slowly over the table. Those that touch move together; others never come to touch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gar_ros.sim.contact import gaps_between, world_of_this_thread
from gar_ros.sim.generate import in_view
from gar_ros.sim.layout import CLEARANCE
from gar_ros.sim.scene import Scene, SceneObject
from gar_ros.sim.shapes import reach
from gar_ros.sim.transforms import Quaternion, about_axis, multiply
from gar_ros.sim.world import TABLE_HALF

STEP = 0.05  # seconds between computed positions, so that they don't depend on how often `advance` is called

_TURN_RATE = 0.25  # radians a second, at most


@dataclass
class _Group:
    """Objects that touch. members: their indexes. heading: radians. turn: yaw rate, radians a second, 0 for several."""

    members: tuple[int, ...]
    heading: float
    turn: float


class SlowMotion:
    """A scene that changes with time. The same first scene, seed and times give the same scenes."""

    def __init__(self, scene: Scene, seed: int, speed: float = 0.012) -> None:
        """speed: metres a second."""
        self._scene, self._rng, self._speed = scene, np.random.default_rng(seed), speed
        self._waiting = 0.0  # seconds passed since the last step
        self._groups = [self._start(members) for members in _touching_groups(scene.objects)]

    def advance(self, seconds: float) -> Scene:
        """The scene `seconds` later."""
        self._waiting += seconds
        steps = int(self._waiting / STEP + 1e-9)
        self._waiting -= steps * STEP
        world_of_this_thread().set_objects(self._scene.objects)
        for _ in range(steps):
            for group in self._groups:
                self._move(group)
        return self._scene

    def _start(self, members: tuple[int, ...]) -> _Group:
        turn = self._rng.uniform(-_TURN_RATE, _TURN_RATE) if len(members) == 1 else 0.0
        return _Group(members, self._rng.uniform(-math.pi, math.pi), turn)

    def _move(self, group: _Group) -> None:
        """Moves a group one step, or turns its heading when the way is blocked."""
        way = self._speed * STEP
        x, y = way * math.cos(group.heading), way * math.sin(group.heading)
        turn = about_axis((0.0, 0.0, 1.0), group.turn * STEP)
        objects = list(self._scene.objects)
        for index in group.members:
            objects[index] = _moved(objects[index], x, y, turn)
        if self._is_free(tuple(objects), group.members):
            self._scene = replace(self._scene, objects=tuple(objects))
            return
        world = world_of_this_thread()
        for index in group.members:
            world.set_object(index, self._scene.objects[index])
        group.heading, group.turn = self._rng.uniform(-math.pi, math.pi), -group.turn

    def _is_free(self, objects: tuple[SceneObject, ...], members: tuple[int, ...]) -> bool:
        if not in_view(self._scene.camera, objects) or not all(_on_table(objects[index]) for index in members):
            return False
        world = world_of_this_thread()
        for index in members:
            world.set_object(index, objects[index])
        others = [index for index in range(len(objects)) if index not in members]
        return all(world.gap(index, other, CLEARANCE) >= CLEARANCE for index in members for other in others)


def _moved(item: SceneObject, x: float, y: float, turn: Quaternion) -> SceneObject:
    position = (item.position[0] + x, item.position[1] + y, item.position[2])
    return replace(item, position=position, orientation=multiply(turn, item.orientation))


def _on_table(item: SceneObject) -> bool:
    return all(abs(at) + reach(item) <= half for at, half in zip(item.position[:2], TABLE_HALF, strict=True))


def _touching_groups(objects: tuple[SceneObject, ...]) -> list[tuple[int, ...]]:
    """Indexes of objects that touch, directly or through others."""
    joined = (gaps_between(objects, CLEARANCE) < CLEARANCE) | np.eye(len(objects), dtype=bool)
    for _ in objects:
        joined |= joined @ joined
    return sorted({tuple(int(i) for i in np.flatnonzero(row)) for row in joined})
