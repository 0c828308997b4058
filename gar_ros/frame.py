# SPDX-License-Identifier: Apache-2.0
"""Frames: images with the regions that a detector found in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Box, Region


@dataclass(frozen=True)
class Sighting:
    """What a detector says about one region. score: 0..1, NaN for none. box: None when it was not asked for."""

    detector_id: str
    label: str = ""
    score: float = float("nan")
    box: Box | None = None


class RegionSource(Protocol):
    """The regions of one image. They are built from their message only when asked for, since most never are."""

    def ids(self) -> tuple[str, ...]:
        """Ids of the regions in the detector's order."""
        ...

    def region(self, region_id: str) -> Region:
        """The region of one of these ids. Raises GarError EMPTY_MASK for a region without a pixel."""
        ...

    def sightings(self, boxes: bool) -> list[Sighting]:
        """What the detector says about all regions.

        boxes: whether sightings have boxes; then regions without a pixel are left out.
        """
        ...


@dataclass(frozen=True, eq=False)
class Frame:
    """One image with the regions found in it. Immutable.

    stamp_ns: the image's stamp, nanoseconds. frame_id: the camera's optical frame. size: (width, height) in pixels.
    load_image: converts the message to (H, W, 3) uint8 RGB. regions: None when no detection has the image's stamp.
    """

    stamp_ns: int
    frame_id: str
    size: tuple[int, int]
    load_image: Callable[[], NDArray[np.uint8]]
    regions: RegionSource | None = None

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The image (H, W, 3) uint8 RGB, read-only."""
        image = self.load_image()
        image.setflags(write=False)
        return image

    @cached_property
    def pixels_hash(self) -> bytes:
        """Tells images of one stamp apart: stamps come again when a bag loops, and may stand still."""
        return hashlib.blake2b(np.ascontiguousarray(self.image).data, digest_size=16).digest()


def askable(frame: Frame) -> list[Region]:
    """The regions of a frame that can be asked about, which are those with a pixel."""
    if frame.regions is None:
        return []
    regions = []
    for region_id in frame.regions.ids():
        try:
            regions.append(frame.regions.region(region_id))
        except GarError as error:
            if error.code is not ErrorCode.EMPTY_MASK:
                raise
    return regions
