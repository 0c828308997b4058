# SPDX-License-Identifier: Apache-2.0
"""The value that travels through the package: one region of one image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError

Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1) in pixels, half-open: x0 <= x < x1."""


@dataclass(frozen=True, eq=False)
class Region:
    """One masked object of one image. Build it with `from_mask` or `from_box`, which check it.

    mask: (H, W) bool of the image's size, True inside. box: the mask's tight bounds. score: the detector's confidence
    in 0..1, NaN when it gave none. stamp_ns: the image's stamp, nanoseconds.
    """

    id: str
    mask: NDArray[np.bool_]
    box: Box
    label: str = ""
    score: float = field(default=float("nan"))
    stamp_ns: int = 0

    @classmethod
    def from_mask(
        cls, id: str, mask: NDArray, label: str = "", score: float = float("nan"), stamp_ns: int = 0
    ) -> Region:
        """The region of the non-zero pixels of `mask` (H, W).

        Raises GarError EMPTY_MASK without such pixels, INVALID_REQUEST for another shape.
        """
        if mask.ndim != 2:
            raise GarError(
                ErrorCode.INVALID_REQUEST, f"region '{id}': expected a mask of shape (H, W), got {mask.shape}"
            )
        inside = np.array(mask, bool, order="C") if mask.dtype == bool else np.ascontiguousarray(mask != 0)
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if rows.size == 0:
            raise GarError(
                ErrorCode.EMPTY_MASK,
                f"region '{id}': expected a mask with a pixel inside, got none in {mask.shape[1]}x{mask.shape[0]} px",
            )
        inside.setflags(write=False)
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        return cls(id, inside, box, label, score, stamp_ns)

    @classmethod
    def from_part(
        cls,
        id: str,
        part: NDArray[np.bool_],
        box: Box,
        image_size: tuple[int, int],
        stamp_ns: int,
        label: str = "",
    ) -> Region:
        """The region of `part` (h, w), the mask within the tight bounds `box` of the region; nothing is checked.

        image_size: (width, height) in pixels.
        """
        x0, y0, x1, y1 = box
        mask = np.zeros(image_size[::-1], bool)
        mask[y0:y1, x0:x1] = part
        mask.setflags(write=False)
        return cls(id, mask, box, label, stamp_ns=stamp_ns)

    @classmethod
    def from_box(
        cls,
        id: str,
        box: Box,
        image_size: tuple[int, int],
        label: str = "",
        score: float = float("nan"),
        stamp_ns: int = 0,
    ) -> Region:
        """The region of a box, clipped to the image. image_size: (width, height) in pixels.

        Raises GarError EMPTY_MASK for a box without a pixel inside the image.
        """
        width, height = image_size
        x0, y0, x1, y1 = box
        mask = np.zeros((height, width), bool)
        mask[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = True
        if not mask.any():
            raise GarError(
                ErrorCode.EMPTY_MASK,
                f"region '{id}': expected a box with a pixel inside the {width}x{height} px image, got {box}",
            )
        return cls.from_mask(id, mask, label, score, stamp_ns)


def check_count(regions: int, limit: int) -> None:
    """Raises GarError TOO_MANY_REGIONS for more regions than `limit`, the model's number of prompts."""
    if regions > limit:
        raise GarError(ErrorCode.TOO_MANY_REGIONS, f"expected at most {limit} regions in one question, got {regions}")


def check_regions(regions: list[Region] | tuple[Region, ...], image_size: tuple[int, int], limit: int) -> None:
    """Raises GarError unless regions fit an image and each other.

    TOO_MANY_REGIONS for more than `limit`; INVALID_REQUEST for repeated ids, or for a mask of another size than
    `image_size`, (width, height) in pixels.
    """
    check_count(len(regions), limit)
    if len({region.id for region in regions}) != len(regions):
        raise GarError(ErrorCode.INVALID_REQUEST, f"region ids must differ, got {[region.id for region in regions]}")
    width, height = image_size
    for region in regions:
        if region.mask.shape != (height, width):
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"region '{region.id}': expected a mask of the image's size {width}x{height} px, "
                f"got {region.mask.shape[1]}x{region.mask.shape[0]} px",
            )


def with_ids(text: str, region_ids: Sequence[str]) -> str:
    """A question or answer with region_ids[N] instead of <PromptN>. Prompts without a region stay."""
    names = {f"<Prompt{number}>": region_id for number, region_id in enumerate(region_ids)}
    return re.sub(r"<Prompt\d+>", lambda prompt: names.get(prompt[0], prompt[0]), text)
