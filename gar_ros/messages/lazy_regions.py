# SPDX-License-Identifier: Apache-2.0
"""Regions of one message, each checked when the message comes and built only when it is asked for."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Sighting
from gar_ros.messages.region_ids import Names, quoted
from gar_ros.region import Region

MOST_REGIONS = 10_000
"""Regions of one image, for all of which there is time between two images."""
_ROUNDING = 1e-6

Detection = TypeVar("Detection")


class LazyRegions(ABC, Generic[Detection]):
    """Regions of one image, each built once as long as somebody holds it. See gar_ros.frame.RegionSource.

    Not for as long as the image is kept: masks are large. A detection that can't be used costs only itself: asking
    about it raises the reason.
    """

    def __init__(self, names: Names, detections: Sequence[Detection]) -> None:
        """Call `_check_all` when `_check` can be called. Raises GarError INVALID_REQUEST for too many detections."""
        check_number(len(detections))
        self._names = names
        self._detections = dict(zip(names.keys, detections, strict=True))
        self._refused: dict[str, tuple[ErrorCode, str]] = {}
        self._built: WeakValueDictionary[str, Region] = WeakValueDictionary()
        self.nameless = names.nameless
        """See Names."""
        self.odd: tuple[str, ...] = names.odd
        """What is odd about the detections and what becomes of them, for people: a sentence for each reason."""

    def ids(self) -> tuple[str, ...]:
        """In the detector's order, with those that can't be asked about where the detector named them."""
        named = zip(self._names.keys, self._names.ids, strict=True)
        return tuple(key for key, given in named if given or key not in self._refused)

    def region(self, region_id: str) -> Region:
        """The region of one of the ids. Raises GarError EMPTY_MASK or INVALID_REQUEST."""
        region = self._built.get(region_id)
        if region is None:
            if region_id in self._refused:
                raise GarError(*self._refused[region_id])
            region = self._built[region_id] = self._build(region_id, self._detections[region_id])
        return region

    def sightings(self, boxes: bool) -> list[Sighting]:
        """See RegionSource. In the detector's order."""
        found = []
        for (key, detection), given in zip(self._detections.items(), self._names.ids, strict=True):
            if key in self._refused and (boxes or not given):
                continue
            label, score = self._said(detection)
            box = self._box(key, detection) if boxes else None
            found.append(Sighting(given, label, checked_score(score), box, key))
        return found

    def _check_all(self) -> None:
        """Checks each detection, and remembers what is wrong."""
        reasons: dict[str, list[str]] = {}
        for key, detection in self._detections.items():
            try:
                self._check(detection)
            except GarError as error:
                message = f"region {quoted(key)}: {error.message}"
                self._refused[key] = error.code, message
                reasons.setdefault(error.message.partition(", got")[0], []).append(message)
            _, score = self._said(detection)
            if not math.isnan(score) and math.isnan(checked_score(score)):
                message = f"region {quoted(key)}: expected a score of 0..1, got {score:g}, which counts as none"
                reasons.setdefault("score", []).append(message)
        total = len(self._detections)
        self.odd += tuple(f"{len(odd)} of {total} detections are odd: {odd[0]}" for odd in reasons.values())

    @abstractmethod
    def _check(self, detection: Detection) -> None:
        """Raises GarError EMPTY_MASK or INVALID_REQUEST for a detection that can't be asked about."""

    @abstractmethod
    def _said(self, detection: Detection) -> tuple[str, float]:
        """The detector's label and score."""

    @abstractmethod
    def _box(self, key: str, detection: Detection) -> tuple[int, int, int, int]:
        """What a detection that was not refused spans of the image. See gar_ros.region.Box."""

    @abstractmethod
    def _build(self, key: str, detection: Detection) -> Region:
        """Of a detection that was not refused."""


def check_number(detections: int) -> None:
    """Raises GarError INVALID_REQUEST for more detections in an image than there is time for."""
    if detections > MOST_REGIONS:
        message = f"expected at most {MOST_REGIONS} regions in an image, got {detections}"
        raise GarError(ErrorCode.INVALID_REQUEST, message)


def checked_score(score: float) -> float:
    """0..1, NaN for none and for what can't be one."""
    return min(max(score, 0.0), 1.0) if -_ROUNDING <= score <= 1 + _ROUNDING else math.nan


def no_pixel(what: str, size: tuple[int, int]) -> GarError:
    """The error for a region without a pixel in an image of `size`, (width, height)."""
    return GarError(
        ErrorCode.EMPTY_MASK, f"expected a pixel inside the {size[0]}x{size[1]} px image, got none in its {what}"
    )
