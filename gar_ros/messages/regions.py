# SPDX-License-Identifier: Apache-2.0
"""Regions: messages to values, built only when asked for, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from weakref import WeakValueDictionary

import numpy as np
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import Image, RegionOfInterest
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Sighting
from gar_ros.geometry.extent import Extent, Vec3
from gar_ros.messages.encodings import LABEL_ENCODINGS, check_layout, checked_array
from gar_ros.messages.headers import header_message, stamp_ns
from gar_ros.messages.images import Size, image_message
from gar_ros.msg import Region as RegionMessage
from gar_ros.msg import RegionArray, RegionGeometry
from gar_ros.region import Box, Region

_MASK_ENCODINGS = ("mono8", "8UC1")


def region_of(message: RegionMessage, size: Size, stamp: int) -> Region:
    """Region of an image of `size`: its mask covers the image or its box; without mask the box is the region.

    stamp: of that image, nanoseconds. Raises GarError INVALID_REQUEST or EMPTY_MASK.
    """
    check_mask(message, size)
    return _checked_region(message, size, stamp)


def _checked_region(message: RegionMessage, size: Size, stamp: int) -> Region:
    """As `region_of`, of a message that `check_mask` accepted. Raises GarError EMPTY_MASK."""
    box, score, (width, height) = message.box, float(message.score), size
    x0, y0 = int(box.x_offset), int(box.y_offset)
    if not message.mask.data:
        corners = (x0, y0, x0 + int(box.width), y0 + int(box.height))
        return Region.from_box(message.id, corners, size, message.label, score, stamp)
    pixels = checked_array(message.mask)
    if pixels.shape == (height, width):
        return Region.from_mask(message.id, pixels, message.label, score, stamp)
    full = np.zeros((height, width), bool)
    target = full[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]]
    target[:] = pixels[: target.shape[0], : target.shape[1]] != 0  # a box may reach beyond the image's edge
    return Region.from_mask(message.id, full, message.label, score, stamp)


def check_mask(message: RegionMessage, size: Size) -> None:
    """Raises GarError INVALID_REQUEST when a region's mask can't be read or placed; looks at no pixel."""
    box, mask = message.box, message.mask
    if not mask.data:
        return
    if mask.encoding not in _MASK_ENCODINGS:
        raise GarError(ErrorCode.INVALID_REQUEST, f"region '{message.id}': expected a mono8 mask, got {mask.encoding}")
    try:
        check_layout(mask)
    except GarError as error:
        raise GarError(error.code, f"region '{message.id}': mask: {error.message}") from error
    if (mask.width, mask.height) not in (size, (box.width, box.height)):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"region '{message.id}': expected a mask as large as the image ({size[0]}x{size[1]} px) or its box "
            f"({box.width}x{box.height} px), got {mask.width}x{mask.height} px",
        )


def region_message(region: Region, with_mask: bool, extent: Extent | None = None) -> RegionMessage:
    """with_mask: fill `mask`, cropped to the box. extent: None where places in space are not known."""
    x0, y0, x1, y1 = region.box
    message = RegionMessage(id=region.id, label=region.label, score=float(region.score))
    message.box = RegionOfInterest(x_offset=x0, y_offset=y0, width=x1 - x0, height=y1 - y0)
    message.geometry = geometry_message(extent or Extent("", region.stamp_ns))
    if with_mask:
        message.mask = image_message(region.mask[y0:y1, x0:x1].astype(np.uint8) * np.uint8(255), "mono8", Header())
    return message


def region_array_message(regions: Sequence[Region], size: Size, header: Header, with_masks: bool = True) -> RegionArray:
    """What a detector publishes for an image of `size` with this header."""
    messages = [region_message(region, with_masks) for region in regions]
    return RegionArray(header=header, width=size[0], height=size[1], regions=messages)


def geometry_message(extent: Extent) -> RegionGeometry:
    """Where a region is in space."""
    return RegionGeometry(
        header=header_message(extent.frame_id, extent.stamp_ns),
        centroid=_point(extent.centroid),
        box_centre=_point(extent.centre),
        box_size=Vector3(**dict(zip("xyz", extent.size, strict=True))),
        points=extent.points,
    )


def _point(place: Vec3) -> Point:
    return Point(**dict(zip("xyz", place, strict=True)))


class LazyRegions(ABC):
    """Regions of one image that are built when they are asked for, each once as long as somebody holds it.

    Not for as long as the image is kept: masks are large (see gar_ros.frame.RegionSource).
    """

    def __init__(self) -> None:
        self._built: WeakValueDictionary[str, Region] = WeakValueDictionary()

    def region(self, region_id: str) -> Region:
        """The region of one of the ids. Raises GarError EMPTY_MASK."""
        region = self._built.get(region_id)
        if region is None:
            region = self._built[region_id] = self._build(region_id)
        return region

    @abstractmethod
    def _build(self, region_id: str) -> Region:
        """Raises GarError EMPTY_MASK."""


class MessageRegions(LazyRegions):
    """The regions of a RegionArray."""

    def __init__(self, message: RegionArray) -> None:
        """Raises GarError INVALID_REQUEST for missing or repeated ids and malformed masks; looks at no pixel."""
        super().__init__()
        self._size = (int(message.width), int(message.height))
        self._stamp_ns = stamp_ns(message.header.stamp)
        self._regions = {region.id: region for region in message.regions}
        if "" in self._regions:
            raise GarError(ErrorCode.INVALID_REQUEST, "expected an id in every region, got an empty one")
        if len(self._regions) != len(message.regions):
            raise GarError(ErrorCode.INVALID_REQUEST, f"region ids must differ, got {[r.id for r in message.regions]}")
        for region in message.regions:
            check_mask(region, self._size)

    def ids(self) -> tuple[str, ...]:
        """In the detector's order."""
        return tuple(self._regions)

    def _build(self, region_id: str) -> Region:
        return _checked_region(self._regions[region_id], self._size, self._stamp_ns)

    def sightings(self, boxes: bool) -> list[Sighting]:
        """In the detector's order; boxes as the detector gives them, or of the mask where it gives none."""
        found = []
        for region in self._regions.values():
            box = None
            if boxes:
                try:
                    box = self._box(region)
                except GarError:  # no pixel
                    continue
            found.append(Sighting(region.id, region.label, float(region.score), box))
        return found

    def _box(self, region: RegionMessage) -> Box:
        x0, y0 = int(region.box.x_offset), int(region.box.y_offset)
        if region.box.width and region.box.height:
            return x0, y0, x0 + int(region.box.width), y0 + int(region.box.height)
        return self.region(region.id).box


class LabelRegions(LazyRegions):
    """The regions of a label image: every value above 0 is one, named by its number."""

    def __init__(self, message: Image) -> None:
        """Raises GarError INVALID_REQUEST for a message that is no label image."""
        super().__init__()
        if message.encoding not in LABEL_ENCODINGS:
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"expected a label image of encoding {', '.join(LABEL_ENCODINGS)}, got '{message.encoding}'",
            )
        check_layout(message)
        self._message = message

    @cached_property
    def _labels(self) -> NDArray[np.integer]:
        return checked_array(self._message)

    @cached_property
    def _values(self) -> dict[str, int]:
        """Sorting only where the label changes along the rows is 10 times faster than sorting all pixels."""
        flat = self._labels.ravel()
        changes = flat[np.flatnonzero(flat[1:] != flat[:-1]) + 1]
        return {str(value): int(value) for value in np.unique(np.append(changes, flat[0])) if value > 0}

    def ids(self) -> tuple[str, ...]:
        """In ascending order of the labels."""
        return tuple(self._values)

    def _build(self, region_id: str) -> Region:
        stamp = stamp_ns(self._message.header.stamp)
        return Region.from_mask(region_id, self._labels == self._values[region_id], stamp_ns=stamp)

    def sightings(self, boxes: bool) -> list[Sighting]:
        """In ascending order of the labels; boxes within two pixels."""
        if not boxes:
            return [Sighting(region_id) for region_id in self.ids()]
        return [Sighting(str(value), box=box) for value, box in label_boxes(self._labels).items()]


def label_boxes(labels: NDArray[np.integer]) -> dict[int, Box]:
    """Boxes of all labels above 0 of (H, W), by label, from every second pixel of both axes."""
    coarse = labels[::2, ::2]
    rows, columns = np.nonzero(coarse > 0)
    values, place = np.unique(coarse[rows, columns], return_inverse=True)
    low = np.full((len(values), 2), np.iinfo(np.int64).max)
    high = np.full((len(values), 2), -1)
    for axis, at in enumerate((columns, rows)):
        np.minimum.at(low[:, axis], place, at)
        np.maximum.at(high[:, axis], place, at)
    corners = np.concatenate([2 * low, 2 * high + 2], 1).tolist()
    return {int(value): (x0, y0, x1, y1) for value, (x0, y0, x1, y1) in zip(values, corners, strict=True)}
