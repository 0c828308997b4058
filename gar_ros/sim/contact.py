# SPDX-License-Identifier: Apache-2.0
"""Contacts between objects: gaps between surfaces, what stands on something, what is inside something."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gar_ros.sim.scene import SceneObject
from gar_ros.sim.shapes import footprint, half_height, is_upright, opening, reach
from gar_ros.sim.world import World

YES, NO, UNCLEAR = 1, 0, -1

_LEVEL = 0.002  # metres between an object and what it stands on, at most
_SUNK = 0.3  # part of a vessel's height that something inside must reach below the rim

_thread = threading.local()


def world_of_this_thread() -> World:
    """The calling thread's model for measuring gaps, made at the first call."""
    if not hasattr(_thread, "world"):
        _thread.world = World()
    world: World = _thread.world
    return world


def gaps_between(objects: Sequence[SceneObject], limit: float) -> NDArray[np.float64]:
    """Distances (n, n) between the surfaces of n objects, metres, negative where they overlap.

    Distances of `limit` or more are only lower bounds.
    """
    world = world_of_this_thread()
    world.set_objects(objects)
    gaps = np.full((len(objects), len(objects)), np.inf)
    for i in range(len(objects)):
        for j in range(i):
            gaps[i, j] = gaps[j, i] = world.gap(i, j, limit)
    return gaps


def is_base(item: SceneObject) -> bool:
    """Whether something can stand on the object."""
    return item.shape in ("box", "cylinder") and is_upright(item)


def rests_on(item: SceneObject, base: SceneObject) -> int:
    """Whether `item` stands on `base`: YES, NO or UNCLEAR."""
    height = (item.position[2] - half_height(item)) - (base.position[2] + half_height(base))
    offset = _offset(item, base)
    if offset >= reach(item) + reach(base):
        return NO
    if height < -2.5 * _LEVEL:
        return NO if rests_in(item, base) == NO else UNCLEAR
    stands = abs(height) <= _LEVEL and is_base(base) and offset <= footprint(base)
    return YES if stands else UNCLEAR


def rests_in(item: SceneObject, vessel: SceneObject) -> int:
    """Whether `item` is inside a bowl or mug: YES, NO or UNCLEAR."""
    if vessel.shape not in ("bowl", "mug"):
        return NO
    offset = _offset(item, vessel)
    bottom = item.position[2] - half_height(item)
    floor, rim = (vessel.position[2] + sign * half_height(vessel) for sign in (-1, 1))
    if offset >= vessel.dimensions[0] / 2 or bottom < floor:
        return NO
    sunk = bottom <= rim - _SUNK * vessel.dimensions[2]
    return YES if sunk and is_upright(vessel) and offset <= 0.6 * opening(vessel)[1] else UNCLEAR


def _offset(first: SceneObject, second: SceneObject) -> float:
    """Horizontal distance between centres, metres."""
    return math.dist(first.position[:2], second.position[:2])
