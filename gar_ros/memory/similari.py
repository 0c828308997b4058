"""Detectors without ids: Similari's SORT says which box continues which (Kalman filter, intersection over union)."""

from __future__ import annotations

from collections.abc import Sequence

from similari import BoundingBox, PositionalMetricType, Sort

from gar_ros.frame import Sighting

_FULL_CONFIDENCE = 1.0  # confidence where the detector gave none
_MIN_CONFIDENCE = 0.05  # confidence that SORT still follows


class AssociatedIds:
    """Track ids "t1", "t2", .. by Similari (Apache-2.0), whatever the detector calls its regions."""

    needs_boxes = True

    def __init__(self, overlap: float, idle: int) -> None:
        """overlap: least intersection over union of a box with where its track is expected. idle: images without a
        sighting after which a track ends."""
        self._overlap, self._idle = overlap, idle
        self._issued = self._before = 0
        self._sort = self._new()

    def names(self, stamp_ns: int, seen: Sequence[Sighting]) -> list[str]:
        """See memory.tracks.Tracker; every sighting has a box."""
        boxes = [(_box(one), number) for number, one in enumerate(seen)]
        found = {track.custom_object_id: int(track.id) for track in self._sort.predict(boxes)}
        names = []
        for number in range(len(seen)):
            if number not in found:  # SORT dropped it: nobody continues it either
                self._issued += 1
                names.append(f"t{self._issued}x")
                continue
            self._issued = max(self._issued, self._before + found[number])
            names.append(f"t{self._before + found[number]}")
        return names

    def clear(self) -> None:
        """See memory.tracks.Tracker."""
        self._before = self._issued
        self._sort = self._new()

    def _new(self) -> Sort:
        return Sort(
            shards=1,
            bbox_history=1,
            max_idle_epochs=self._idle,
            method=PositionalMetricType.iou(threshold=self._overlap),
            min_confidence=_MIN_CONFIDENCE,
        )


def _box(one: Sighting) -> object:
    if one.box is None:
        raise ValueError(f"region '{one.detector_id}': expected a box to associate, got none")
    x0, y0, x1, y1 = one.box
    known = one.score == one.score and one.score > _MIN_CONFIDENCE
    confidence = min(one.score, _FULL_CONFIDENCE) if known else _FULL_CONFIDENCE
    return BoundingBox.new_with_confidence(x0, y0, x1 - x0, y1 - y0, confidence).as_xyaah()
