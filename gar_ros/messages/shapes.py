# SPDX-License-Identifier: Apache-2.0
"""The pixels of boxes, turned boxes and polygons in an image, however far out they reach.

Pixel (column, row) covers the square from there to (column + 1, row + 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.messages.images import Size
from gar_ros.region import Box

FARTHEST = 1e9
"""Pixels from an image's corner beyond which a number is no coordinate or length of something in it."""
_MARGIN = 64.0
"""Pixels around the image within which a polygon's corners are rounded to whole pixels; beyond it is clipped."""
_STRAIGHT = 1e-6
"""Radians within which a box counts as turned by whole quarters."""


@dataclass(frozen=True)
class TurnedBox:
    """A box that may be turned about its centre. x, y: of its centre, pixels. width, height: pixels, before it is
    turned. theta: radians; positive turns it from the x axis towards the y axis, which is clockwise as one sees it."""

    x: float
    y: float
    width: float
    height: float
    theta: float = 0.0

    def problem(self) -> str:
        """Why this can't be a box; empty when it can."""
        numbers = (self.x, self.y, self.width, self.height, self.theta)
        if not np.all(np.abs(numbers) <= FARTHEST):  # False for NaN
            return f"expected a box within {FARTHEST:g} px, got {_listed(*numbers)} (x, y, width, height, theta)"
        if self.width <= 0 or self.height <= 0:
            return f"expected a box wider and higher than 0 px, got {_listed(self.width, self.height)}"
        return ""

    def bounds(self, size: Size) -> Box:
        """What the box spans of an image: between its edges rounded to whole pixels, or all that it touches where it
        is turned. (0, 0, 0, 0) where that is nothing."""
        across, down = self._half()
        round_low, round_high = (round, round) if self.is_straight else (math.floor, math.ceil)
        x0, y0 = max(round_low(self.x - across), 0), max(round_low(self.y - down), 0)
        x1, y1 = min(round_high(self.x + across), size[0]), min(round_high(self.y + down), size[1])
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else (0, 0, 0, 0)

    def mask(self, size: Size) -> NDArray[np.bool_]:
        """(H, W) bool: the pixels between its rounded edges; those whose centres are inside where it is turned."""
        mask = np.zeros(size[::-1], bool)
        x0, y0, x1, y1 = self.bounds(size)
        if self.is_straight:
            mask[y0:y1, x0:x1] = True
            return mask
        across, down = np.arange(x0, x1) + 0.5 - self.x, np.arange(y0, y1)[:, None] + 0.5 - self.y
        cosine, sine = math.cos(self.theta), math.sin(self.theta)
        along, aside = across * cosine + down * sine, down * cosine - across * sine
        mask[y0:y1, x0:x1] = (np.abs(along) <= self.width / 2) & (np.abs(aside) <= self.height / 2)
        return mask

    @property
    def is_straight(self) -> bool:
        """Whether its edges are along the image's."""
        return self._quarters() is not None

    def _quarters(self) -> int | None:
        quarters = self.theta / (math.pi / 2)
        nearest = round(quarters)
        return nearest if abs(quarters - nearest) < _STRAIGHT else None

    def _half(self) -> tuple[float, float]:
        """Half of what it spans across and down the image, pixels."""
        quarters = self._quarters()
        if quarters is not None:
            spans = (self.height, self.width) if quarters % 2 else (self.width, self.height)
            return spans[0] / 2, spans[1] / 2
        cosine, sine = abs(math.cos(self.theta)), abs(math.sin(self.theta))
        return (self.width * cosine + self.height * sine) / 2, (self.width * sine + self.height * cosine) / 2


def polygon_corners(points: NDArray[np.float64], size: Size) -> NDArray[np.int32]:
    """Corners (M, 2) of a polygon (N, 2) within FARTHEST, rounded to whole pixels. What reaches far beyond an image
    of `size` is clipped there, which moves no edge in the image by more than rounding does."""
    low, high = np.full(2, -_MARGIN), np.array(size) + _MARGIN
    for axis in range(2):
        points = _clipped(points, axis, low[axis], 1.0)
        points = _clipped(points, axis, high[axis], -1.0)
    return np.rint(points).astype(np.int32)


def polygon_mask(corners: NDArray[np.int32], size: Size) -> NDArray[np.bool_]:
    """(H, W) bool: the pixels inside a polygon (M, 2) by the even-odd rule, and those on its outline."""
    width, height = size
    if not len(corners):
        return np.zeros((height, width), bool)
    # All of it is drawn: what lies beyond a picture's edge would be smeared along it by OpenCV (5.0).
    left, top = np.minimum(corners.min(0), 0).tolist()
    right, bottom = np.maximum(corners.max(0) + 1, size).tolist()
    drawn = np.zeros((bottom - top, right - left), np.uint8)
    cv2.fillPoly(drawn, [(corners - (left, top)).reshape(-1, 1, 2).astype(np.int32)], 1)
    return drawn[-top : height - top, -left : width - left] != 0


def _clipped(points: NDArray[np.float64], axis: int, limit: float, side: float) -> NDArray[np.float64]:
    """The polygon where side * coordinate >= side * limit (Sutherland and Hodgman)."""
    inside = side * points[:, axis] >= side * limit
    if inside.all():
        return points
    clipped = []
    for index in range(len(points)):
        before, here = points[index - 1], points[index]
        if inside[index - 1] != inside[index]:
            crossing = before + (here - before) * (limit - before[axis]) / (here[axis] - before[axis])
            crossing[axis] = limit
            clipped.append(crossing)
        if inside[index]:
            clipped.append(here)
    return np.array(clipped, float).reshape(-1, 2)


def _listed(*numbers: float) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
