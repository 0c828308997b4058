# SPDX-License-Identifier: Apache-2.0
"""Detectors that people run: what their messages say, as regions. Their packages are imported only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import RegionSource, Sighting
from gar_ros.messages.images import Size
from gar_ros.messages.regions import LazyRegions
from gar_ros.msg import RegionArray
from gar_ros.region import Box, Region
from gar_ros.settings.groups import REGIONS_TYPES

OWN, VISION, YOLO = REGIONS_TYPES


@dataclass(frozen=True)
class Found:
    """One detection. box: pixels, half-open. polygon: corners (x, y) of its mask in an image of `canvas` (width,
    height); empty for a detector without masks."""

    id: str
    label: str
    score: float
    box: Box
    polygon: tuple[tuple[float, float], ...] = ()
    canvas: Size = (0, 0)


def message_type(name: str) -> Any:
    """The class of a message of REGIONS_TYPES. Raises GarError INVALID_REQUEST when its package is not installed."""
    if name == OWN:
        return RegionArray
    package, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError) as error:
        message = f"input.regions_type: expected the package {package} to be installed for {name}, got {error}"
        raise GarError(ErrorCode.INVALID_REQUEST, message) from error


def found_by_vision(message: Any) -> list[Found]:
    """Detections of a vision_msgs/Detection2DArray; the likeliest hypothesis of each."""
    found = []
    for number, one in enumerate(message.detections):
        best = max((result.hypothesis for result in one.results), key=lambda guess: guess.score, default=None)
        centre = one.bbox.center.position
        found.append(
            Found(
                id=one.id or f"detection:{number}",
                label=best.class_id if best is not None else "",
                score=float(best.score) if best is not None else float("nan"),
                box=_box(centre.x, centre.y, one.bbox.size_x, one.bbox.size_y),
            )
        )
    return found


def found_by_yolo(message: Any) -> list[Found]:
    """Detections of a yolo_msgs/DetectionArray, with the polygon of their mask where there is one."""
    return [
        Found(
            id=one.id or f"detection:{number}",
            label=one.class_name,
            score=float(one.score),
            box=_box(one.bbox.center.position.x, one.bbox.center.position.y, one.bbox.size.x, one.bbox.size.y),
            polygon=tuple((float(point.x), float(point.y)) for point in one.mask.data),
            canvas=(int(one.mask.width), int(one.mask.height)),
        )
        for number, one in enumerate(message.detections)
    ]


READERS: dict[str, Callable[[Any], list[Found]]] = {VISION: found_by_vision, YOLO: found_by_yolo}


class DetectedRegions(LazyRegions):
    """The regions of detections, with the masks of a label image where there is one."""

    def __init__(self, found: Sequence[Found], size: Size, stamp_ns: int, labels: RegionSource | None = None) -> None:
        """size: of the image. labels: where the masks are, by the same ids; None: the polygon or box is the region.

        Raises GarError INVALID_REQUEST for repeated ids.
        """
        super().__init__()
        self._found = {one.id: one for one in found}
        if len(self._found) != len(found):
            raise GarError(ErrorCode.INVALID_REQUEST, f"detection ids must differ, got {[one.id for one in found]}")
        self._size, self._stamp_ns, self._labels = size, stamp_ns, labels

    def ids(self) -> tuple[str, ...]:
        """In the detector's order."""
        return tuple(self._found)

    def _build(self, region_id: str) -> Region:
        one = self._found[region_id]
        if self._labels is not None:
            if region_id not in self._labels.ids():
                message = f"region '{region_id}': the label image has no pixel of this value"
                raise GarError(ErrorCode.EMPTY_MASK, message)
            return replace(self._labels.region(region_id), label=one.label, score=one.score)
        if len(one.polygon) < 3:
            return Region.from_box(region_id, one.box, self._size, one.label, one.score, self._stamp_ns)
        width, height = self._size
        scale = np.array([width / (one.canvas[0] or width), height / (one.canvas[1] or height)])
        corners = np.rint(np.array(one.polygon) * scale).astype(np.int32)
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [corners.reshape(-1, 1, 2)], 1)
        return Region.from_mask(region_id, mask, one.label, one.score, self._stamp_ns)

    def sightings(self, boxes: bool) -> list[Sighting]:
        """In the detector's order, with its boxes."""
        return [Sighting(one.id, one.label, one.score, one.box) for one in self._found.values()]


def _box(x: float, y: float, width: float, height: float) -> Box:
    """From centre and size; not a number becomes an empty box, which is refused when it is asked about."""
    corners = np.nan_to_num(np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2]))
    x0, y0, x1, y1 = np.rint(corners).astype(int).tolist()
    return x0, y0, x1, y1
