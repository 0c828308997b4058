# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera that made an image, as a CameraInfo describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.distortion import check_coefficients, undistorted

Size = tuple[int, int]
"""(width, height) in pixels."""
_SAME_VIEW = 0.01
"""Largest relative difference of aspect ratios at which one image is taken for a scaled view of the other."""


@dataclass(frozen=True)
class Window:
    """The part of the sensor that an image shows, in pixels of the whole sensor before binning."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A calibrated pinhole camera.

    matrix: (3, 3), pixels of the whole sensor: K for images as the lens makes them, P without its last column for
    rectified ones. distortion: coefficients of `model`, empty for none. model: see geometry/distortion.py. size:
    (width, height) of the whole sensor, which it was calibrated for. window: what images show of it, None for all.
    binning: columns and rows of the sensor in one pixel. matrix_name: for errors.
    """

    matrix: NDArray[np.float64]
    distortion: NDArray[np.float64]
    model: str
    size: Size
    window: Window | None = None
    binning: tuple[int, int] = (1, 1)
    matrix_name: str = "K"

    def __post_init__(self) -> None:
        """Raises GarError INVALID_REQUEST for a camera that was never calibrated or that can't be computed with."""
        matrix = np.asarray(self.matrix, np.float64)
        width, height = self.size
        if matrix.shape != (3, 3) or not (matrix[0, 0] > 0 and matrix[1, 1] > 0) or width < 1 or height < 1:
            raise bad_camera(
                f"expected focal lengths and an image size above 0, got fx {matrix.flat[0]:g}, "
                f"fy {matrix.flat[4]:g} in {self.matrix_name}, {width}x{height} px: calibrate the camera"
            )
        if not np.isfinite(matrix).all() or (matrix * _ABSENT).any() or matrix[2, 2] != 1:
            numbers = ", ".join(f"{number:g}" for number in matrix.flat)
            raise bad_camera(f"expected {self.matrix_name} of the form fx, 0, cx, 0, fy, cy, 0, 0, 1, got {numbers}")
        check_coefficients(self.model, self.distortion)
        shown = self._shown
        if not (0 <= shown.x <= width - shown.width and 0 <= shown.y <= height - shown.height) or 0 in self._binned:
            raise bad_camera(
                f"expected roi with at least one pixel within the {width}x{height} px of the camera, got "
                f"{shown.width}x{shown.height} px at {shown.x}, {shown.y} with binning {self.binning[0]}x"
                f"{self.binning[1]}"
            )

    @property
    def _shown(self) -> Window:
        return self.window or Window(0, 0, *self.size)

    @property
    def _binned(self) -> Size:
        """Size of the camera's images."""
        return max(self._shown.width, 0) // self.binning[0], max(self._shown.height, 0) // self.binning[1]

    def is_like(self, other: CameraModel) -> bool:
        """Whether both give the same directions."""
        same_lens = (self.model, *self.distortion) == (other.model, *other.distortion)
        straight = not self.distortion.any() and not other.distortion.any()
        return (same_lens or straight) and np.array_equal(self.matrix, other.matrix)

    def check_size(self, size: Size) -> None:
        """Raises GarError INVALID_REQUEST for images of a size (width, height) that can't be the camera's.

        Those of the same shape are taken for scaled views, unless the camera shows only a window: what looks like an
        enlarged window can be the whole image.
        """
        width, height = self._binned
        enlarged = self._shown != Window(0, 0, *self.size) and (size[0] > width + 1 or size[1] > height + 1)
        if self._exact(size) or (same_view(size, self._binned) and not enlarged):
            return
        details = f" (roi {self._shown.width}x{self._shown.height} px)" if self.window else ""
        raise bad_camera(
            f"expected the camera of the depth image: it describes images of {width}x{height} px{details}, but depth "
            f"has {size[0]}x{size[1]} px; set topic camera_info to the one that is published with the depth image"
        )

    def rays(self, columns: NDArray[Any], rows: NDArray[Any], size: Size) -> NDArray[np.float64]:
        """Directions (N, 2), x / z and y / z in the optical frame, of pixels with these columns and rows, (N,) each.

        NaN where the distortion can't be undone. size: (width, height) in pixels of their image. Raises GarError as
        `check_size` does.
        """
        self.check_size(size)
        shown = self._shown
        scale = np.array(self.binning if self._exact(size) else (shown.width / size[0], shown.height / size[1]))
        # Pixel i covers i - 0.5 .. i + 0.5, so it is the picture's edge, not pixel 0, that stays in place.
        pixels = (np.stack([columns, rows], 1) + 0.5) * scale - 0.5 + (shown.x, shown.y)
        return undistorted(pixels, self.matrix, self.model, self.distortion)

    def _exact(self, size: Size) -> bool:
        """Whether an image of this size has the camera's pixels; drivers drop or keep an incomplete last one."""
        whole = (self._shown.width, self._shown.height)
        return all(
            pixels in (length // factor, -(-length // factor))
            for pixels, length, factor in zip(size, whole, self.binning, strict=True)
        )


_ABSENT = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 0]])
"""Elements that a camera matrix has not."""


def same_view(size: Size, other: Size) -> bool:
    """Whether images of these sizes (width, height) have the same shape."""
    return abs(size[0] * other[1] / (size[1] * other[0]) - 1) <= _SAME_VIEW


def bad_camera(what: str) -> GarError:
    """The error for a camera that can't be used."""
    return GarError(ErrorCode.INVALID_REQUEST, f"camera_info: {what}")
