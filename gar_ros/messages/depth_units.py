# SPDX-License-Identifier: Apache-2.0
"""Units of depth images (REP 118) and the values that are no measurement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError

METRES = ("32FC1",)
MILLIMETRES = ("16UC1", "mono16")
_SATURATED = 65535
"""The largest number of 16 bits, by which several cameras say that nothing was measured."""


def check_encoding(encoding: str) -> None:
    """Raises GarError INVALID_REQUEST for an encoding that is none of depth."""
    if encoding not in (*METRES, *MILLIMETRES):
        raise bad_depth(f"expected encoding {', '.join((*METRES, *MILLIMETRES))}, got '{encoding}'")


def metres_of(millimetres: NDArray[Any]) -> NDArray[np.float32]:
    """float32 (H, W), metres, of uint16 (H, W), millimetres; 0 or NaN where unknown."""
    metres = millimetres.astype(np.float32) * np.float32(0.001)
    metres[millimetres == _SATURATED] = np.nan
    return metres


def bad_depth(what: str) -> GarError:
    """The error for a depth image that can't be used."""
    return GarError(ErrorCode.INVALID_REQUEST, f"depth: {what}")
