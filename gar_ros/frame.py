# SPDX-License-Identifier: Apache-2.0
"""Frames: images with the regions that a detector found in them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import GarError
from gar_ros.region import Box, Region


@dataclass(frozen=True)
class Sighting:
    """What a detector says about one region. detector_id: empty where it gave none. score: 0..1, NaN for none. box:
    None when it was not asked for. key: the id by which the source knows the region; empty: the detector's."""

    detector_id: str
    label: str = ""
    score: float = float("nan")
    box: Box | None = None
    key: str = ""


class RegionSource(Protocol):
    """The regions of one image. They are built from their message only when asked for, since most never are."""

    def ids(self) -> tuple[str, ...]:
        """Ids of the regions in the detector's order."""
        ...

    def region(self, region_id: str) -> Region:
        """The region of one of these ids. Raises GarError EMPTY_MASK for a region without a pixel, and INVALID_REQUEST
        for another one that can't be asked about."""
        ...

    def sightings(self, boxes: bool) -> list[Sighting]:
        """What the detector says about all regions.

        boxes: whether sightings have boxes; then regions that can't be asked about are left out.
        """
        ...


@dataclass(frozen=True, eq=False)
class Frame:
    """One image with the regions found in it. Immutable.

    stamp_ns: the image's stamp, nanoseconds. frame_id: the camera's optical frame. size: (width, height) in pixels.
    load_image: converts the message to (H, W, 3) uint8 RGB. regions: None when no detection has the image's stamp.
    number: of the image, in the order of arrival; copies of a frame share it. It tells images of one stamp apart:
    stamps come again when a bag loops, and may stand still.
    """

    stamp_ns: int
    frame_id: str
    size: tuple[int, int]
    load_image: Callable[[], NDArray[np.uint8]]
    regions: RegionSource | None = None
    number: int = field(default_factory=count(1).__next__)

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The image (H, W, 3) uint8 RGB, read-only."""
        image = self.load_image()
        image.setflags(write=False)
        return image


def askable(frame: Frame) -> list[Region]:
    """The regions of a frame that can be asked about."""
    if frame.regions is None:
        return []
    regions = []
    for region_id in frame.regions.ids():
        with suppress(GarError):  # whoever asks about it by its id is told why
            regions.append(frame.regions.region(region_id))
    return regions
