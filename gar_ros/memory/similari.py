# SPDX-License-Identifier: Apache-2.0
"""Track ids for detectors without ids: Similari's SORT says which box continues which track.

SORT predicts each track's box with a Kalman filter and compares it with the detected boxes by intersection over union.
"""

from __future__ import annotations

from collections.abc import Sequence

from similari import BoundingBox, PositionalMetricType, Sort

from gar_ros.frame import Sighting

_FULL_CONFIDENCE = 1.0  # where the detector gave none
_MIN_CONFIDENCE = 0.05  # SORT drops boxes of less


class AssociatedIds:
    """Track ids "t1", "t2", .. by Similari (Apache-2.0), whatever the detector calls its regions. See Tracker."""

    needs_boxes = True

    def __init__(self, min_overlap: float, max_idle: int) -> None:
        """min_overlap: least intersection over union of a box with where its track is expected. max_idle: images
        without a sighting after which a track ends."""
        self._min_overlap, self._max_idle = min_overlap, max_idle
        self._issued = self._before = 0
        self._sort = self._new()

    def track_ids(self, stamp_ns: int, sightings: Sequence[Sighting]) -> list[str]:
        """See Tracker. Raises ValueError for a sighting without a box."""
        boxes = [(_box(sighting), index) for index, sighting in enumerate(sightings)]
        numbers = {track.custom_object_id: int(track.id) for track in self._sort.predict(boxes)}
        ids = []
        for index in range(len(sightings)):
            if index not in numbers:  # SORT dropped it, so no later box will continue this track
                self._issued += 1
                ids.append(f"t{self._issued}x")
                continue
            self._issued = max(self._issued, self._before + numbers[index])
            ids.append(f"t{self._before + numbers[index]}")
        return ids

    def clear(self) -> None:
        """See Tracker."""
        self._before = self._issued
        self._sort = self._new()

    def _new(self) -> Sort:
        return Sort(
            shards=1,
            bbox_history=1,
            max_idle_epochs=self._max_idle,
            method=PositionalMetricType.iou(threshold=self._min_overlap),
            min_confidence=_MIN_CONFIDENCE,
        )


def _box(sighting: Sighting) -> object:
    if sighting.box is None:
        raise ValueError(f"region '{sighting.detector_id}': expected a box to associate, got none")
    x0, y0, x1, y1 = sighting.box
    usable = sighting.score > _MIN_CONFIDENCE  # False for NaN
    confidence = min(sighting.score, _FULL_CONFIDENCE) if usable else _FULL_CONFIDENCE
    return BoundingBox.new_with_confidence(x0, y0, x1 - x0, y1 - y0, confidence).as_xyaah()
