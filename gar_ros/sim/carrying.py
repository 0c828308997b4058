# SPDX-License-Identifier: Apache-2.0
"""An object that is taken out of its bowl and put back, again and again, as a robot's arm would."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gar_ros.sim.contact import YES, rests_in
from gar_ros.sim.generate import in_view
from gar_ros.sim.scene import Scene, SceneObject
from gar_ros.sim.shapes import half_height, reach
from gar_ros.sim.transforms import Vec3
from gar_ros.sim.world import TABLE_HALF

CYCLE = 10.0  # seconds: in the bowl, out of it, beside it, back into it
MOVE = 1.0  # seconds from the one place to the other
_LIFT = 0.12  # metres above the higher one of both places
_MARGIN = 0.03  # metres between the place on the table and all objects, wherever these move
_GRID = 0.02  # metres between places that are tried


@dataclass(frozen=True)
class Carrying:
    """item, bowl: indexes of the objects. place: centre of the item while it lies on the table."""

    item: int
    bowl: int
    place: Vec3

    @classmethod
    def of(cls, scenes: Sequence[Scene]) -> Carrying | None:
        """The first object in a bowl that has a free place near it in all of these scenes; None without one."""
        objects = scenes[0].objects
        for item, bowl in itertools.permutations(range(len(objects)), 2):
            if objects[bowl].shape != "bowl" or rests_in(objects[item], objects[bowl]) != YES:
                continue
            place = _free_place(scenes, item, bowl)
            if place is not None:
                return cls(item, bowl, place)
        return None

    def at(self, scene: Scene, stamp_ns: int) -> Scene:
        """The scene with the object where it is at this stamp, nanoseconds. scene: with the object in its bowl."""
        objects = list(scene.objects)
        home, away = objects[self.item].position, self.place
        part = _part_away(stamp_ns / 1e9 % CYCLE)
        objects[self.item] = replace(objects[self.item], position=_between(home, away, part))
        return replace(scene, objects=tuple(objects))


def _part_away(second: float) -> float:
    """How much of the way from the bowl to the table the object has made, 0..1, in this second of the cycle."""
    half = CYCLE / 2
    rest = half - MOVE
    if second < half:
        return max(0.0, (second - rest) / MOVE)
    return 1.0 - max(0.0, (second - half - rest) / MOVE)


def _between(home: Vec3, away: Vec3, part: float) -> Vec3:
    """Up, across and down again, each a third of the way."""
    high = max(home[2], away[2]) + _LIFT
    across = min(max(3 * part - 1, 0.0), 1.0)
    x, y = (a + across * (b - a) for a, b in zip(home[:2], away[:2], strict=True))
    up, down = min(3 * part, 1.0), min(3 - 3 * part, 1.0)
    z = home[2] + up * (high - home[2]) if part < 0.5 else away[2] + down * (high - away[2])
    return x, y, z


def _free_place(scenes: Sequence[Scene], item: int, bowl: int) -> Vec3 | None:
    """The place on the table nearest to the bowl that no object comes near to; None without one."""
    thing = scenes[0].objects[item]
    others = [index for index in range(len(scenes[0].objects)) if index != item]
    # (scenes, others, 2) metres, and how far each must stay away.
    paths = np.array([[scene.objects[index].position[:2] for index in others] for scene in scenes])
    apart = np.array([reach(scenes[0].objects[index]) for index in others]) + reach(thing) + _MARGIN
    steps = [np.arange(-half + reach(thing), half - reach(thing), _GRID) for half in TABLE_HALF]
    around = scenes[0].objects[bowl].position[:2]
    for x, y in sorted(itertools.product(*steps), key=lambda place: math.dist(place, around)):
        place = (float(x), float(y), half_height(thing))
        gaps = np.linalg.norm(paths - np.array([x, y]), axis=2)
        if (gaps >= apart).all() and _is_seen(scenes[0], thing, place):
            return place
    return None


def _is_seen(scene: Scene, thing: SceneObject, place: Vec3) -> bool:
    """Whether the object is within the picture at this place, and under way to it."""
    lifted = (place[0], place[1], place[2] + _LIFT)
    return in_view(scene.camera, (replace(thing, position=place), replace(thing, position=lifted)))
