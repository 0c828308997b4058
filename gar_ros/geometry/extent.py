"""A region's place in space: robust centroid and box of its seen surface."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.geometry.surface import Surface

Vec3 = tuple[float, float, float]
_UNKNOWN: Vec3 = (float("nan"),) * 3

MIN_POINTS = 8
MIN_SHARE = 0.1
"""Of a region's pixels that must have a depth: a few on glass or at an edge say nothing about the rest."""
_PERCENTILES = (1.0, 99.0)
_SPREADS = 3.0  # standard deviations, estimated by the median absolute deviation
_SIGMA_PER_MAD = 1.4826
_MIN_DEPTH_SPREAD = 0.02  # metres around the median that are never cut off: a flat object has no spread
_EDGE = 1  # pixels at a mask's rim, where sensors mix object and background


@dataclass(frozen=True)
class Extent:
    """Seen surface of one region in a frame, metres; all NaN and 0 points when it is not known.

    centroid: mean of the surface points. low, high: corners of their box along the frame's axes. It is what the sensor
    saw: an object's far side is not guessed.
    """

    frame_id: str
    stamp_ns: int
    centroid: Vec3 = _UNKNOWN
    low: Vec3 = _UNKNOWN
    high: Vec3 = _UNKNOWN
    points: int = 0

    @property
    def known(self) -> bool:
        """Whether there was depth enough."""
        return self.points > 0

    @property
    def centre(self) -> Vec3:
        """Of the box."""
        return _vec3((np.array(self.low) + self.high) / 2)

    @property
    def size(self) -> Vec3:
        """Edges of the box."""
        return _vec3(np.subtract(self.high, self.low))


@dataclass(frozen=True, eq=False)
class Pose:
    """From a surface's frame to `frame_id`: rotation (3, 3), translation (3,) in metres."""

    frame_id: str
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


def region_extent(mask: NDArray[np.bool_], surface: Surface, pose: Pose | None = None) -> Extent:
    """Extent of a mask (H, W) of the image that belongs to the surface, in the surface's frame or in `pose`'s.

    Raises GarError INVALID_REQUEST when mask and surface show different views.
    """
    points = surface_points(mask, surface)
    unknown = Extent(pose.frame_id if pose else surface.frame_id, surface.stamp_ns)
    if len(points) == 0:
        return unknown
    if pose is not None:
        points = points @ pose.rotation.T + pose.translation
    low, high = np.percentile(points, _PERCENTILES, axis=0)
    return replace(unknown, centroid=_vec3(points.mean(0)), low=_vec3(low), high=_vec3(high), points=len(points))


def surface_points(mask: NDArray[np.bool_], surface: Surface) -> NDArray[np.float64]:
    """Points (N, 3) of a mask without those of its rim and of what shines through it; none when too few are known."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((2 * _EDGE + 1,) * 2, np.uint8), borderValue=1).astype(bool)
    # A thin region has little but its rim.
    points, pixels = surface.points(inner if inner.sum() >= MIN_POINTS else mask)
    if len(points) < max(MIN_POINTS, MIN_SHARE * pixels):
        return np.empty((0, 3))
    depth = points[:, 2]
    away = np.abs(depth - np.median(depth))
    return points[away <= max(_MIN_DEPTH_SPREAD, _SPREADS * _SIGMA_PER_MAD * float(np.median(away)))]


def _vec3(values: NDArray[np.floating]) -> Vec3:
    x, y, z = (float(value) for value in values)
    return x, y, z
