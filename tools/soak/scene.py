# SPDX-License-Identifier: Apache-2.0
"""What the soak's camera shows and what its detector finds there: pure functions of the stamp."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from gar_ros.region import Region

WIDTH, HEIGHT = 1280, 720
OBJECTS = 6
SIDE = 110
"""Of each object's square, pixels."""

BLINK_NS = 700_000_000
"""How long an object is found or missed before the detector decides anew."""
RENAMED_NS = 20_000_000_000
"""How long the detector keeps the id of an object."""
MISSED, GHOSTS = 0.15, 0.1
"""Probability that an object is missed for one blink, and that an image has a region with an id of its own."""

_COLOURS = np.array([(200, 30, 30), (30, 160, 40), (30, 30, 200), (200, 180, 30), (160, 40, 170), (40, 170, 170)])
_BACKGROUND = np.random.default_rng(1).integers(90, 140, (HEIGHT, WIDTH, 3), np.uint8)


def corner(index: int, stamp_ns: int) -> tuple[int, int]:
    """Left upper corner (x, y) in pixels of an object; each walks to and fro in its own column and never leaves it."""
    phase = stamp_ns / 1e9 / (4.0 + index)
    x = 60 + index * 200
    return x, round((HEIGHT - SIDE) * (0.5 + 0.45 * np.sin(phase)))


def picture(stamp_ns: int) -> NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3) uint8 RGB: coloured squares on noise."""
    image = _BACKGROUND.copy()
    for index in range(OBJECTS):
        x, y = corner(index, stamp_ns)
        image[y : y + SIDE, x : x + SIDE] = _COLOURS[index]
    return image


def depth(stamp_ns: int) -> NDArray[np.uint16]:
    """(HEIGHT, WIDTH) uint16 millimetres: squares at 1 m before a wall at 2 m."""
    image = np.full((HEIGHT, WIDTH), 2000, np.uint16)
    for index in range(OBJECTS):
        x, y = corner(index, stamp_ns)
        image[y : y + SIDE, x : x + SIDE] = 1000
    return image


def labels(stamp_ns: int) -> NDArray[np.uint8]:
    """(HEIGHT, WIDTH) uint8 label image: the squares as 1, 2, .."""
    image = np.zeros((HEIGHT, WIDTH), np.uint8)
    for index in range(OBJECTS):
        x, y = corner(index, stamp_ns)
        image[y : y + SIDE, x : x + SIDE] = index + 1
    return image


def found(stamp_ns: int) -> list[Region]:
    """What the detector finds: objects blink, change their ids, and now and then there is a ghost, seen only once."""
    regions = []
    for index in range(OBJECTS):
        if _chance(index, stamp_ns // BLINK_NS) >= MISSED:
            name = f"object{index}-{stamp_ns // RENAMED_NS % 1000}"
            regions.append(_square(name, corner(index, stamp_ns), "square", stamp_ns))
    if _chance(OBJECTS, stamp_ns) < GHOSTS:
        regions.append(_square(f"ghost-{stamp_ns}", (stamp_ns // 1000 % (WIDTH - SIDE), 5), "ghost", stamp_ns))
    return regions


def _square(name: str, at: tuple[int, int], label: str, stamp_ns: int) -> Region:
    x, y = at
    return Region.from_box(name, (x, y, x + SIDE, y + SIDE), (WIDTH, HEIGHT), label, 0.9, stamp_ns)


def _chance(*of: int) -> float:
    """A number in 0..1 that looks random, the same for the same arguments in every process."""
    return zlib.crc32(repr(of).encode()) / 2**32
