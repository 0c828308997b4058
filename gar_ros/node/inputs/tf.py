# SPDX-License-Identifier: Apache-2.0
"""Transformations between frames, where tf2 is there: it comes with ROS from apt, not from PyPI."""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.time import Time

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.extent import Pose


class Poses:
    """No transformations: places stay in the frame they were measured in."""

    def find(self, frame_id: str, stamp_ns: int) -> Pose | None:
        """None."""


class Tf2Poses(Poses):
    """Poses in one target frame, from the transformations that arrive on /tf."""

    def __init__(self, node: Node, target: str, tf2_ros: Any, lifetime: ExitStack) -> None:
        """Listens until `lifetime` ends. tf2_ros: the module."""
        self._target = target
        self._failure: type[Exception] = tf2_ros.TransformException
        self._buffer = tf2_ros.Buffer()
        lifetime.callback(tf2_ros.TransformListener(self._buffer, node).unregister)

    def find(self, frame_id: str, stamp_ns: int) -> Pose:
        """See memory.depth.PoseFinder."""
        try:
            found = self._buffer.lookup_transform(self._target, frame_id, Time(nanoseconds=stamp_ns)).transform
        except (self._failure, ValueError, OverflowError) as error:  # the last two: a stamp before 1970
            raise self._missing(
                f"{error}; if it only comes late, raise depth.max_wait, otherwise correct depth.target_frame or what "
                "publishes /tf"
            ) from error
        turn, move = found.rotation, found.translation
        numbers = np.array([turn.x, turn.y, turn.z, turn.w, move.x, move.y, move.z], np.float64)
        if not np.isfinite(numbers).all() or not numbers[:4].any():
            raise self._missing(f"expected a rotation and finite numbers from '{frame_id}', got {numbers}; correct /tf")
        return Pose(self._target, rotation_matrix(*numbers[:4]), numbers[4:])

    def _missing(self, why: str) -> GarError:
        return GarError(ErrorCode.NO_FRAME, f"no transformation to depth.target_frame '{self._target}': {why}")


def make_poses(node: Node, target: str, lifetime: ExitStack) -> Poses:
    """Poses in the frame `target` (parameter `depth.target_frame`), kept up to date until `lifetime` ends.

    Raises GarError INVALID_REQUEST when it is set and tf2 is not installed.
    """
    if not target:
        return Poses()
    try:
        return Tf2Poses(node, target, importlib.import_module("tf2_ros"), lifetime)
    except ImportError as error:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"parameter depth.target_frame is '{target}', which needs tf2_ros "
            f"(apt install ros-${{ROS_DISTRO}}-tf2-ros-py): {error}",
        ) from error


def rotation_matrix(x: float, y: float, z: float, w: float) -> NDArray[np.float64]:
    """(3, 3) of a quaternion, normalised first."""
    x, y, z, w = np.array([x, y, z, w]) / np.linalg.norm([x, y, z, w])
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
