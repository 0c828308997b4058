# SPDX-License-Identifier: Apache-2.0
"""Detectors that people run: what their messages say, as regions. Their packages are imported only when asked for."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.images import Size
from gar_ros.messages.label_regions import LabelRegions
from gar_ros.messages.lazy_regions import LazyRegions, checked_score, no_pixel
from gar_ros.messages.region_ids import name_all, quoted
from gar_ros.messages.shapes import FARTHEST, TurnedBox, polygon_corners, polygon_mask
from gar_ros.msg import RegionArray
from gar_ros.region import Box, Region
from gar_ros.settings.inputs import REGIONS_TYPES

OWN, VISION, YOLO = REGIONS_TYPES


@dataclass(frozen=True, eq=False)
class Found:
    """One detection. id: the detector's, empty for none. polygon: (N, 2) corners x, y of its mask, pixels of an image
    of `canvas` (width, height); empty for a detector without masks."""

    id: str
    label: str
    score: float
    box: TurnedBox
    polygon: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))
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
    for one in message.detections:
        guesses = [result.hypothesis for result in one.results]
        best = max(guesses, key=lambda guess: -math.inf if math.isnan(guess.score) else guess.score, default=None)
        centre, box = one.bbox.center.position, one.bbox
        found.append(
            Found(
                id=one.id,
                label=best.class_id if best is not None else "",
                score=float(best.score) if best is not None else math.nan,
                # By its definition theta is positive counterclockwise, as one sees the image.
                box=TurnedBox(centre.x, centre.y, box.size_x, box.size_y, 0.0 - box.center.theta),
            )
        )
    return found


def found_by_yolo(message: Any) -> list[Found]:
    """Detections of a yolo_msgs/DetectionArray, with the polygon of their mask where there is one."""
    found = []
    for one in message.detections:
        centre, box = one.bbox.center.position, one.bbox
        found.append(
            Found(
                id=one.id,
                label=one.class_name,
                score=float(one.score),
                # Its publisher takes theta from Ultralytics, whose boxes turn from the x axis towards the y axis.
                box=TurnedBox(centre.x, centre.y, box.size.x, box.size.y, box.center.theta),
                polygon=np.array([(point.x, point.y) for point in one.mask.data], float).reshape(-1, 2),
                canvas=(int(one.mask.width), int(one.mask.height)),
            )
        )
    return found


READERS: dict[str, Callable[[Any], list[Found]]] = {VISION: found_by_vision, YOLO: found_by_yolo}


class DetectedRegions(LazyRegions[Found]):
    """The regions of detections: their polygons, else their boxes, or what a label image has."""

    def __init__(self, found: Sequence[Found], size: Size, stamp_ns: int, labels: LabelRegions | None = None) -> None:
        """size: of the image. labels: where the masks are, by the same ids; None: the polygon or box is the region.

        Raises GarError INVALID_REQUEST for too many detections.
        """
        super().__init__(name_all([one.id for one in found]), found)
        self._size, self._stamp_ns, self._labels = size, stamp_ns, labels
        self._check_all()

    def _check(self, detection: Found) -> None:
        if self._labels is not None:
            if self._labels.box(detection.id) is None:
                message = f"expected its id to be a value of the label image, got {quoted(detection.id)}"
                raise GarError(ErrorCode.EMPTY_MASK, message)
            return
        problem = _polygon_problem(detection) if len(detection.polygon) else detection.box.problem()
        if problem:
            raise GarError(ErrorCode.INVALID_REQUEST, problem)
        if not self._has_pixel(detection):
            raise no_pixel("mask" if len(detection.polygon) else "box", self._size)

    def _has_pixel(self, detection: Found) -> bool:
        x0, y0, x1, y1 = self._span(detection)
        if x0 >= x1 or y0 >= y1:
            return False
        # What spans a part of the image needs no pixel there if it is turned, or a polygon that reaches beyond it.
        if not len(detection.polygon) and detection.box.is_straight:
            return True
        return bool(self._mask(detection).any())

    def _said(self, detection: Found) -> tuple[str, float]:
        return detection.label, detection.score

    def _box(self, key: str, detection: Found) -> Box:
        box = self._labels.box(detection.id) if self._labels is not None else None
        return box or self._span(detection)

    def _span(self, detection: Found) -> Box:
        """Bounds of what lies in the image."""
        if not len(detection.polygon):
            return detection.box.bounds(self._size)
        points = self._scaled(detection)
        low, high = (np.rint(one).astype(np.int64).tolist() for one in (points.min(0), points.max(0)))
        x1, y1 = (min(one + 1, limit) for one, limit in zip(high, self._size, strict=True))
        return max(low[0], 0), max(low[1], 0), x1, y1

    def _build(self, key: str, detection: Found) -> Region:
        label, score = detection.label, checked_score(detection.score)
        if self._labels is not None:
            return replace(self._labels.region(detection.id), id=key, label=label, score=score)
        return Region.from_mask(key, self._mask(detection), label, score, self._stamp_ns)

    def _mask(self, detection: Found) -> NDArray[np.bool_]:
        if len(detection.polygon):
            return polygon_mask(polygon_corners(self._scaled(detection), self._size), self._size)
        return detection.box.mask(self._size)

    def _scaled(self, detection: Found) -> NDArray[np.float64]:
        """The polygon in pixels of the image."""
        canvas, (width, height) = detection.canvas, self._size
        return detection.polygon * (width / (canvas[0] or width), height / (canvas[1] or height))


def _polygon_problem(detection: Found) -> str:
    """Why the polygon can't be a mask; empty when it can."""
    outside = detection.polygon[~(np.abs(detection.polygon) <= FARTHEST).all(1)]  # with those of NaN
    if len(outside):
        return f"expected a mask's corners within {FARTHEST:g} px, got ({outside[0][0]:g}, {outside[0][1]:g})"
    if min(detection.canvas) < 0:
        return f"expected a mask of an image, got the size {detection.canvas[0]}x{detection.canvas[1]} px"
    return ""
