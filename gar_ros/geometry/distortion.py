# SPDX-License-Identifier: Apache-2.0
"""Lens distortion: the models of CameraInfo and how they are undone, exactly or not at all."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError

_OPENCV = (4, 5, 8, 12, 14)
COUNTS = {"plumb_bob": _OPENCV, "rational_polynomial": _OPENCV, "equidistant": (4,)}
"""Numbers of coefficients that OpenCV has a meaning for, by models (sensor_msgs/distortion_models.hpp)."""
_TILT = slice(12, 14)  # the coefficients of a sensor that is not parallel to the lens
_STEPS = 20
_CLOSE = 1e-3  # pixels at which a direction is near enough to its pixel
_FAR = 0.1  # pixels beyond which it isn't the pixel's direction: there the distortion has no inverse


def check_coefficients(model: str, given: NDArray[np.float64]) -> None:
    """Raises GarError INVALID_REQUEST for a model or coefficients without a meaning."""
    if model not in COUNTS and (model or given.any()):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"camera_info: expected one of the distortion models {', '.join(COUNTS)}, got '{model}'",
        )
    if not np.isfinite(given).all():
        numbers = ", ".join(f"{number:g}" for number in given)
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"camera_info: expected finite distortion coefficients, got {numbers}"
        )
    if given.any() and _used(model, given) is None:
        counts = " or ".join(map(str, COUNTS[model]))
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"camera_info: expected {counts} distortion coefficients of model {model}, or none, got {len(given)}: "
            "calibrate the camera again, or correct what publishes camera_info",
        )


def _used(model: str, given: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The coefficients that OpenCV takes; what is left out is 0. None where they have no meaning.

    Drivers append zeros, such as a fifth coefficient to the four of a fisheye lens; none may be missing.
    """
    last = int(np.flatnonzero(given)[-1]) + 1
    fitting = [count for count in COUNTS[model] if last <= count <= len(given)]
    return given[: fitting[-1]] if fitting else None


def undistorted(
    pixels: NDArray[np.float64], matrix: NDArray[np.float64], model: str, coefficients: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Directions (N, 2), x / z and y / z, of pixels (N, 2); NaN where no direction belongs to a pixel.

    Coefficients that are all 0 are no distortion with every model, as in image_geometry.
    """
    focal, centre = matrix[[0, 1], [0, 1]], matrix[:2, 2]
    straight: NDArray[np.float64] = (pixels - centre) / focal
    used = _used(model, coefficients) if coefficients.any() else None
    if used is None or len(pixels) == 0:
        return straight
    try:
        return _inverted(straight, focal, model, used)
    except cv2.error as error:
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"camera_info: OpenCV can't undo the distortion {model}: {error.err}"
        ) from error


def _inverted(
    bent: NDArray[np.float64], focal: NDArray[np.float64], model: str, used: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Directions (N, 2) that the lens shows at `bent` (N, 2), in focal lengths from the centre.

    OpenCV's own few steps are millimetres off where the distortion is strong, so they are only the first ones.
    """
    undo = cv2.fisheye.undistortPoints if model == "equidistant" else cv2.undistortPoints
    found = np.asarray(undo(bent[:, None], np.eye(3), used), np.float64).reshape(-1, 2)
    apart = np.full(len(bent), np.inf)
    left = np.arange(len(bent))
    with np.errstate(all="ignore"):
        for _ in range(_STEPS):
            missing = bent[left] - _distorted(found[left], model, used)
            apart[left] = np.abs(missing * focal).max(1)
            wrong = ~(apart[left] <= _CLOSE)
            if not wrong.any():
                break
            left = left[wrong]
            found[left] += missing[wrong]
    found[~(apart <= _FAR)] = np.nan
    return found


def _distorted(rays: NDArray[np.float64], model: str, used: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the lens shows directions (N, 2), in focal lengths from the centre."""
    if model == "equidistant":
        return np.asarray(cv2.fisheye.distortPoints(rays[:, None], np.eye(3), used), np.float64).reshape(-1, 2)
    if used[_TILT].any():
        points = np.hstack([rays, np.ones((len(rays), 1))])
        bent, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), used)
        return np.asarray(bent, np.float64).reshape(-1, 2)
    # As OpenCV's projectPoints, which takes ten times as long because of its derivatives.
    k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4 = np.pad(used[:12], (0, max(12 - len(used), 0)))
    x, y = rays.T
    squared = x * x + y * y
    radial = (1 + squared * (k1 + squared * (k2 + squared * k3))) / (1 + squared * (k4 + squared * (k5 + squared * k6)))
    across = x * radial + 2 * p1 * x * y + p2 * (squared + 2 * x * x) + squared * (s1 + squared * s2)
    down = y * radial + p1 * (squared + 2 * y * y) + 2 * p2 * x * y + squared * (s3 + squared * s4)
    return np.stack([across, down], 1)
