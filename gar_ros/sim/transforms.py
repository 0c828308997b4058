# SPDX-License-Identifier: Apache-2.0
"""Rotations as unit quaternions (w, x, y, z), as MuJoCo writes them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Vec3 = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)


def to_vec3(values: NDArray[np.float64]) -> Vec3:
    """The three numbers of an array (3,) as a tuple."""
    return (float(values[0]), float(values[1]), float(values[2]))


def about_axis(axis: Vec3, angle: float) -> Quaternion:
    """The rotation by `angle` radians about a unit axis."""
    half = math.sin(angle / 2)
    return (math.cos(angle / 2), axis[0] * half, axis[1] * half, axis[2] * half)


def multiply(first: Quaternion, second: Quaternion) -> Quaternion:
    """The rotation that turns by `second`, then by `first`."""
    w, x, y, z = first
    a, b, c, d = second
    return (
        w * a - x * b - y * c - z * d,
        w * b + x * a + y * d - z * c,
        w * c - x * d + y * a + z * b,
        w * d + x * c - y * b + z * a,
    )


def conjugate(rotation: Quaternion) -> Quaternion:
    """The inverse rotation."""
    w, x, y, z = rotation
    return (w, -x, -y, -z)


def to_matrix(rotation: Quaternion) -> NDArray[np.float64]:
    """Rotation matrix (3, 3); its columns are the rotated axes."""
    w, x, y, z = rotation
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def from_matrix(matrix: NDArray[np.float64]) -> Quaternion:
    """Quaternion with w >= 0 of a rotation matrix (3, 3), from its largest component (Shepperd 1978)."""
    m = matrix.tolist()
    xyz = (m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1])
    squares = [1 + m[0][0] + m[1][1] + m[2][2]] + [1 + 2 * m[i][i] - m[0][0] - m[1][1] - m[2][2] for i in range(3)]
    largest = max(range(4), key=squares.__getitem__)
    if largest == 0:
        unscaled = (squares[0], *xyz)
    else:
        axis = largest - 1
        unscaled = (xyz[axis], *(squares[largest] if i == axis else m[i][axis] + m[axis][i] for i in range(3)))
    scale = math.copysign(0.5 / math.sqrt(squares[largest]), unscaled[0])
    w, x, y, z = (scale * value for value in unscaled)
    return (w, x, y, z)
