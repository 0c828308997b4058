# SPDX-License-Identifier: Apache-2.0
"""Track ids for detectors without ids: Similari's SORT says which box continues which track.

SORT predicts each track's box with a Kalman filter and compares it with the detected boxes by intersection over union.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from similari import BoundingBox, PositionalMetricType, Sort, SortTrack, Universal2DBox

from gar_ros.errors import LEAVING, reason_of
from gar_ros.frame import Sighting

_log = logging.getLogger(__name__)

_FULL_CONFIDENCE = 1.0  # where the detector gave none
_MIN_CONFIDENCE = 0.05  # SORT drops boxes of less
_broken: list[Sort] = []
"""Kept for ever: freeing one that has panicked panics again, wherever Python happens to be."""
_LARGEST = 2.0**24
"""Pixels; whole numbers up to it are exact in SORT's floats."""


@dataclass(frozen=True)
class _Alive:
    """A track that may go on. number: of its id. box: its last one. image: the count of the image that showed it."""

    number: int
    box: Universal2DBox
    image: int


class AssociatedIds:
    """Track ids "t1", "t2", .. by Similari (Apache-2.0), whatever the detector calls its regions. See Tracker.

    SORT panics in the next image when it expects a box without a size, as that of a thing that shrinks fast. Before it
    comes to that, SORT begins anew with the last boxes of all tracks.
    """

    needs_boxes = True

    def __init__(self, min_overlap: float, max_idle: int) -> None:
        """min_overlap: least intersection over union of a box with where its track is expected. max_idle: images
        without a sighting after which a track ends."""
        self._min_overlap, self._max_idle = min_overlap, max_idle
        self._issued = self._image = 0
        self._alive: dict[int, _Alive] = {}  # by SORT's number of the track
        self._sort = self._new()

    def track_ids(self, stamp_ns: int, sightings: Sequence[Sighting]) -> list[str]:
        """See Tracker. Raises ValueError for a sighting without a box."""
        boxes = [_box(sighting) for sighting in sightings]
        self._image += 1
        self._alive = {key: one for key, one in self._alive.items() if self._image - one.image <= self._max_idle + 1}
        try:
            tracks = self._sort.predict([(box, index) for index, box in enumerate(boxes) if box is not None])
        except BaseException as error:  # panics are no Exception
            if isinstance(error, LEAVING):
                raise
            _log.warning("all tracks end: Similari failed: %s", reason_of(error))
            _broken.append(self._sort)
            self.clear()
            return [self._issue() for _ in sightings]
        numbers = self._numbers(tracks, boxes)
        self._sort.wasted()  # takes out the tracks that have ended, which would be kept, and compared with, for long
        if not all(_is_sound(track.predicted_bbox) for track in tracks):
            self._begin_anew()
        return [f"t{numbers[index]}" if index in numbers else self._issue() for index in range(len(sightings))]

    def clear(self) -> None:
        """See Tracker."""
        self._alive = {}
        self._sort = self._new()

    @property
    def known(self) -> int:
        """See Tracker."""
        return len(self._alive)

    def _numbers(self, tracks: Sequence[SortTrack], boxes: Sequence[Universal2DBox | None]) -> dict[int, int]:
        """The number of the id of each box by its index; boxes that SORT dropped are missing."""
        numbers: dict[int, int] = {}
        for track in tracks:
            known, box = self._alive.get(track.id), boxes[track.custom_object_id]
            if box is None or (known is not None and known.image == self._image):
                continue  # one track, two boxes of one image
            if known is None:
                self._issued += 1
            number = known.number if known is not None else self._issued
            self._alive[track.id] = _Alive(number, box, self._image)
            numbers[track.custom_object_id] = number
        return numbers

    def _issue(self) -> str:
        """The id of an object that no later box will continue."""
        self._issued += 1
        return f"t{self._issued}"

    def _begin_anew(self) -> None:
        """A new SORT with the tracks that may go on, at rest where they were seen last."""
        alive = list(self._alive.values())
        self.clear()
        for track in self._sort.predict([(one.box, index) for index, one in enumerate(alive)]):
            self._alive[track.id] = alive[track.custom_object_id]

    def _new(self) -> Sort:
        return Sort(
            shards=1,
            bbox_history=1,
            max_idle_epochs=self._max_idle,
            method=PositionalMetricType.iou(threshold=self._min_overlap),
            min_confidence=_MIN_CONFIDENCE,
        )


def _box(sighting: Sighting) -> Universal2DBox | None:
    """As SORT takes it; None for a box that makes it panic. Raises ValueError for a sighting without a box."""
    if sighting.box is None:
        raise ValueError(f"region '{sighting.detector_id}': expected a box to associate, got none")
    x0, y0, x1, y1 = sighting.box
    if x1 <= x0 or y1 <= y0 or max(map(abs, sighting.box)) > _LARGEST:
        return None
    usable = sighting.score > _MIN_CONFIDENCE  # False for NaN
    confidence = min(sighting.score, _FULL_CONFIDENCE) if usable else _FULL_CONFIDENCE
    return BoundingBox.new_with_confidence(x0, y0, x1 - x0, y1 - y0, confidence).as_xyaah()


def _is_sound(box: Universal2DBox) -> bool:
    return bool(box.aspect > 0 and box.height > 0)  # False for NaN
