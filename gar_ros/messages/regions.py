# SPDX-License-Identifier: Apache-2.0
"""Regions: messages to values, built only when asked for, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from geometry_msgs.msg import Point, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.geometry.extent import Extent, Vec3
from gar_ros.messages.encodings import check_layout, checked_array
from gar_ros.messages.headers import header_message, stamp_ns
from gar_ros.messages.images import Size, image_message
from gar_ros.messages.lazy_regions import LazyRegions, checked_score, no_pixel
from gar_ros.messages.region_ids import name_all, quoted
from gar_ros.msg import Region as RegionMessage
from gar_ros.msg import RegionArray, RegionGeometry
from gar_ros.region import Box, Region

_MASK_ENCODINGS = ("mono8", "8UC1")


def region_of(message: RegionMessage, size: Size, stamp: int) -> Region:
    """Region of an image of `size`: its mask covers the image or its box; without mask the box is the region.

    stamp: of that image, nanoseconds. Raises GarError INVALID_REQUEST or EMPTY_MASK.
    """
    try:
        check_mask(message, size)
    except GarError as error:
        raise GarError(error.code, f"region {quoted(message.id)}: {error.message}") from error
    return _checked_region(message, size, stamp)


def _checked_region(message: RegionMessage, size: Size, stamp: int) -> Region:
    """As `region_of`, of a message that `check_mask` accepted. Raises GarError EMPTY_MASK."""
    box, score = message.box, float(message.score)
    if not message.mask.data:
        x0, y0 = int(box.x_offset), int(box.y_offset)
        corners = (x0, y0, x0 + int(box.width), y0 + int(box.height))
        return Region.from_box(message.id, corners, size, message.label, score, stamp)
    pixels, (x0, y0) = _placed(message, size)
    full = np.zeros(size[::-1], bool)
    full[y0 : y0 + pixels.shape[0], x0 : x0 + pixels.shape[1]] = pixels
    return Region.from_mask(message.id, full, message.label, score, stamp)


def _placed(message: RegionMessage, size: Size) -> tuple[NDArray[np.bool_], tuple[int, int]]:
    """The part of a mask that lies in the image (h, w), and the pixel x, y of its first corner."""
    pixels, (width, height) = checked_array(message.mask) != 0, size
    if pixels.shape == (height, width):
        return pixels, (0, 0)
    x0, y0 = int(message.box.x_offset), int(message.box.y_offset)
    return pixels[: max(height - y0, 0), : max(width - x0, 0)], (x0, y0)


def _clipped_box(message: RegionMessage, size: Size) -> Box | None:
    """The part of the box that lies in the image, None without one."""
    box = message.box
    x0, y0 = int(box.x_offset), int(box.y_offset)
    x1, y1 = min(x0 + int(box.width), size[0]), min(y0 + int(box.height), size[1])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def check_mask(message: RegionMessage, size: Size) -> None:
    """Raises GarError INVALID_REQUEST when a region's mask can't be read or placed; looks at no pixel."""
    box, mask = message.box, message.mask
    if not mask.data:
        return
    if mask.encoding not in _MASK_ENCODINGS:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected a mono8 mask, got {quoted(mask.encoding)}")
    try:
        check_layout(mask)
    except GarError as error:
        raise GarError(error.code, f"mask: {error.message}") from error
    if (mask.width, mask.height) not in (size, (box.width, box.height)):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected a mask as large as the image ({size[0]}x{size[1]} px) or its box "
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


class MessageRegions(LazyRegions[RegionMessage]):
    """The regions of a RegionArray."""

    def __init__(self, message: RegionArray) -> None:
        """Raises GarError INVALID_REQUEST for too many regions."""
        super().__init__(name_all([region.id for region in message.regions]), message.regions)
        self._size = (int(message.width), int(message.height))
        self._stamp_ns = stamp_ns(message.header.stamp)
        self._check_all()

    def _check(self, detection: RegionMessage) -> None:
        check_mask(detection, self._size)
        if not detection.mask.data:
            if _clipped_box(detection, self._size) is None:
                raise no_pixel("box", self._size)
            return
        pixels, _ = _placed(detection, self._size)
        if not pixels.any():
            raise no_pixel("mask", self._size)

    def _said(self, detection: RegionMessage) -> tuple[str, float]:
        return detection.label, float(detection.score)

    def _box(self, key: str, detection: RegionMessage) -> Box:
        """As the detector gives it, or of the mask where it gives none."""
        return _clipped_box(detection, self._size) or self.region(key).box

    def _build(self, key: str, detection: RegionMessage) -> Region:
        region = _checked_region(detection, self._size, self._stamp_ns)
        return replace(region, id=key, score=checked_score(region.score))
