# SPDX-License-Identifier: Apache-2.0
"""A region's place in space: the centroid and the box of its visible surface, robust against wrong depth."""

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
"""Least share of a region's pixels with a depth: a few on glass or at an edge say nothing about the rest."""
_PERCENTILES = (1.0, 99.0)
_MAX_SIGMAS = 3.0  # standard deviations, estimated by the median absolute deviation
_SIGMA_PER_MAD = 1.4826
_MIN_DEPTH_SPREAD = 0.02  # metres around the median in which no point is an outlier: a flat object has no spread
_EDGE = 1  # pixels at a mask's rim, where sensors mix object and background


@dataclass(frozen=True)
class Extent:
    """The visible surface of one region in the frame `frame_id`, metres. What the sensor doesn't see is not guessed.

    stamp_ns: of the depth measurement, nanoseconds. centroid: mean of the surface points. low, high: opposite corners
    of their box along the frame's axes. points: number of surface points. Unknown: 0 points, all else NaN.
    """

    frame_id: str
    stamp_ns: int
    centroid: Vec3 = _UNKNOWN
    low: Vec3 = _UNKNOWN
    high: Vec3 = _UNKNOWN
    points: int = 0

    @property
    def known(self) -> bool:
        """Whether there was enough depth."""
        return self.points > 0

    @property
    def centre(self) -> Vec3:
        """Centre of the box."""
        return _vec3((np.array(self.low) + self.high) / 2)

    @property
    def size(self) -> Vec3:
        """Lengths of the box's edges."""
        return _vec3(np.subtract(self.high, self.low))


@dataclass(frozen=True, eq=False)
class Pose:
    """A surface's pose in the frame `frame_id`. rotation: (3, 3). translation: (3,), metres."""

    frame_id: str
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


def region_extent(mask: NDArray[np.bool_], surface: Surface, pose: Pose | None = None) -> Extent:
    """Extent of a region by its mask (H, W), in the frame of `pose`, or without one in the surface's frame.

    Raises GarError INVALID_REQUEST when the mask's image and the surface show different views.
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
    """Surface points (N, 3) of a mask (H, W), metres in the surface's frame; N is 0 when too few are known.

    Points at the mask's rim and outliers in depth, such as what is seen through glass, are left out.
    Raises GarError as `region_extent` does.
    """
    inner = cv2.erode(mask.astype(np.uint8), np.ones((2 * _EDGE + 1,) * 2, np.uint8), borderValue=1).astype(bool)
    # A thin region has hardly any pixels besides its rim.
    points, pixels = surface.points(inner if inner.sum() >= MIN_POINTS else mask)
    if len(points) < max(MIN_POINTS, MIN_SHARE * pixels):
        return np.empty((0, 3))
    depth = points[:, 2]
    deviation = np.abs(depth - np.median(depth))
    return points[deviation <= max(_MIN_DEPTH_SPREAD, _MAX_SIGMAS * _SIGMA_PER_MAD * float(np.median(deviation)))]


def _vec3(values: NDArray[np.floating]) -> Vec3:
    x, y, z = (float(value) for value in values)
    return x, y, z
