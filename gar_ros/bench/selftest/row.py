# SPDX-License-Identifier: Apache-2.0
"""One line of the table: a comparison with its limits, something measured, or what failed."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError


@dataclass(frozen=True)
class Limit:
    """difference: the largest allowed. cosine: the smallest allowed."""

    difference: float
    cosine: float


@dataclass(frozen=True)
class Row:
    """ok: whether its limits hold; None for what has none. text: what is shown. numbers: the same for programs."""

    name: str
    ok: bool | None
    text: str
    numbers: dict[str, float | None] = field(default_factory=dict)

    def as_line(self) -> str:
        """As one line of JSON, which has null for numbers that are not finite."""
        numbers = {
            n: value if value is not None and math.isfinite(value) else None for n, value in self.numbers.items()
        }
        return json.dumps({**dataclasses.asdict(self), "numbers": numbers}, ensure_ascii=False)


def failed(name: str, why: str) -> Row:
    """What could not be done."""
    return Row(name, False, f"failed: {why}")


def compared(name: str, found: NDArray[np.floating], expected: NDArray[np.floating], limit: Limit) -> Row:
    """Two arrays of vectors (.., H): the largest difference of two numbers, relative to the largest number expected,
    and the smallest cosine of two vectors. Raises GarError INTERNAL_ERROR for arrays of different shapes."""
    if found.shape != expected.shape:
        what = f"expected {name} of shape {expected.shape}, got {found.shape}"
        raise GarError(ErrorCode.INTERNAL_ERROR, what)
    difference, cosine = difference_of(found, expected), smallest_cosine(found, expected)
    # NaN is within no limit.
    ok = difference <= limit.difference and cosine >= limit.cosine
    return Row(
        name,
        ok,
        f"difference {difference:8.2g} (allowed {limit.difference:g}), cosine {cosine:.6f} (allowed {limit.cosine:g})",
        {
            "difference": difference,
            "allowed_difference": limit.difference,
            "cosine": cosine,
            "allowed_cosine": limit.cosine,
        },
    )


def difference_of(found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """The largest difference, relative to the largest number expected; NaN where anything isn't finite."""
    if not np.isfinite(found).all():
        return math.nan
    largest = float(np.abs(expected).max(initial=0.0))
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0)) / (largest or 1.0)


def smallest_cosine(found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """Over all vectors along the last axis; of two that are zero it is 1, of one that is, 0."""
    left, right = found.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(left, axis=-1), np.linalg.norm(right, axis=-1)
    both_zero = (lengths[0] == 0) & (lengths[1] == 0)
    product = lengths[0] * lengths[1]
    with np.errstate(invalid="ignore"):  # NaN comes of what isn't finite
        cosines = (left * right).sum(-1) / np.where(product == 0, 1.0, product)
    return float(np.where(both_zero, 1.0, cosines).min(initial=1.0))
