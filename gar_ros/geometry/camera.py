# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera that made an image, as a CameraInfo describes it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError

DISTORTIONS = ("", "plumb_bob", "rational_polynomial", "equidistant")
"""Names of distortion models (sensor_msgs/distortion_models.hpp) that OpenCV can undo; "" is none."""


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A calibrated pinhole camera.

    matrix: K (3, 3), pixels. distortion: coefficients of `model`, empty for none. model: one of `DISTORTIONS`. size:
    (width, height) in pixels of the images that it was calibrated for.
    """

    matrix: NDArray[np.float64]
    distortion: NDArray[np.float64]
    model: str
    size: tuple[int, int]

    def __post_init__(self) -> None:
        """Raises GarError INVALID_REQUEST for a camera that was never calibrated or has an unknown distortion."""
        if self.matrix.shape != (3, 3) or not (self.matrix[0, 0] > 0 and self.matrix[1, 1] > 0) or 0 in self.size:
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"camera_info: expected focal lengths and an image size above 0, got fx {self.matrix.flat[0]:g}, "
                f"fy {self.matrix.flat[4]:g}, {self.size[0]}x{self.size[1]} px: calibrate the camera",
            )
        if self.model not in DISTORTIONS:
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"camera_info: expected one of the distortion models {', '.join(DISTORTIONS[1:])}, got '{self.model}'",
            )

    def rays(
        self, columns: NDArray[np.integer], rows: NDArray[np.integer], size: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Directions (N, 2), x / z and y / z in the optical frame, of pixels with these columns and rows, (N,) each.

        size: (width, height) in pixels of their image. An image of another size than the calibrated one is taken for a
        scaled view.
        """
        scale = np.array([self.size[0] / size[0], self.size[1] / size[1]])
        # Pixel i covers i - 0.5 .. i + 0.5, so it is the picture's edge, not pixel 0, that stays in place.
        pixels = (np.stack([columns, rows], 1) + 0.5) * scale - 0.5
        if not self.distortion.any():
            focal, centre = self.matrix[[0, 1], [0, 1]], self.matrix[:2, 2]
            rays: NDArray[np.float64] = (pixels - centre) / focal
            return rays
        undistort = cv2.fisheye.undistortPoints if self.model == "equidistant" else cv2.undistortPoints
        return np.asarray(undistort(pixels[:, None], self.matrix, self.distortion), np.float64).reshape(-1, 2)
