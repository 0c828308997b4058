# SPDX-License-Identifier: Apache-2.0
"""Depth measurements: points on the visible surfaces, for any mask of the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.camera import CameraModel, same_view


class Surface(Protocol):
    """The visible surfaces at one time. stamp_ns: nanoseconds. frame_id: the optical frame of the points."""

    @property
    def stamp_ns(self) -> int: ...

    @property
    def frame_id(self) -> str: ...

    def points(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
        """The measured points (N, 3) inside a mask, metres, and the number of the sensor's pixels inside it.

        mask: (H, W) of the colour image. Raises GarError INVALID_REQUEST when the image shows another view, or the
        measurement can't be read.
        """


@dataclass(frozen=True, eq=False)
class DepthSurface:
    """A depth image that is registered to the colour image. See Surface.

    load_metres: converts the message to (H, W) float32, metres along the optical axis; unknown where it is NaN,
    infinite or not above 0. camera: of the depth image.
    """

    stamp_ns: int
    frame_id: str
    load_metres: Callable[[], NDArray[np.float32]]
    camera: CameraModel

    @cached_property
    def metres(self) -> NDArray[np.float32]:
        """Depth (H, W) float32, see `load_metres`."""
        return self.load_metres()

    def points(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
        """See Surface."""
        height, width = self.metres.shape
        rows, columns = np.nonzero(fitted(mask, (width, height)))
        depth = self.metres[rows, columns].astype(np.float64)
        known = np.isfinite(depth) & (depth > 0)
        rays = self.camera.rays(columns[known], rows[known], (width, height))
        found = np.hstack([rays, np.ones((len(rays), 1))]) * depth[known, None]
        return found[np.isfinite(found).all(1)], len(rows)


@dataclass(frozen=True, eq=False)
class CloudSurface:
    """An organised point cloud. See Surface.

    load_points: converts the message to (H, W, 3) float32, metres; not finite or all 0 where unknown.
    """

    stamp_ns: int
    frame_id: str
    load_points: Callable[[], NDArray[np.float32]]

    @cached_property
    def grid(self) -> NDArray[np.float32]:
        """Points (H, W, 3) float32, see `load_points`."""
        return self.load_points()

    def points(self, mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], int]:
        """See Surface."""
        height, width = self.grid.shape[:2]
        found = self.grid[fitted(mask, (width, height))].astype(np.float64)
        return found[np.isfinite(found).all(1) & found.any(1)], len(found)


def fitted(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """A mask (H, W) resized to a sensor of `size` (width, height) in pixels.

    Raises GarError INVALID_REQUEST when the aspect ratios differ.
    """
    height, width = mask.shape
    if (width, height) == size:
        return mask
    if not same_view((width, height), size):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected depth registered to the image of {width}x{height} px, got {size[0]}x{size[1]} px; set topic "
            "depth or points to what the driver has aligned to the image",
        )
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool)
