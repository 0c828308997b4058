# SPDX-License-Identifier: Apache-2.0
"""When an image becomes a keyframe."""

from __future__ import annotations

from gar_ros.region import Box


class KeyframeSchedule:
    """Asks for a keyframe once in a period, and at once when a region is new or has moved or changed its size much."""

    def __init__(self, period_ns: int, min_overlap: float) -> None:
        """period_ns: time between the stamps of two keyframes, nanoseconds. min_overlap: least intersection over union
        of a region's box with its box in the last keyframe; below it a keyframe is due at once."""
        self._period_ns, self._min_overlap = period_ns, min_overlap
        self._stamp_ns: int | None = None
        self._boxes: dict[str, Box] = {}

    def due(self, stamp_ns: int, boxes: dict[str, Box]) -> bool:
        """Whether an image of this stamp (nanoseconds) with these boxes by region id should become a keyframe.

        It should, too, when stamps went back.
        """
        if not boxes or stamp_ns == self._stamp_ns:
            return False
        if self._stamp_ns is None or not 0 <= stamp_ns - self._stamp_ns < self._period_ns:
            return True
        return any(overlap(box, self._boxes.get(region_id)) < self._min_overlap for region_id, box in boxes.items())

    def made(self, stamp_ns: int, boxes: dict[str, Box]) -> None:
        """Remembers the stamp and the boxes of an image that became a keyframe."""
        self._stamp_ns, self._boxes = stamp_ns, dict(boxes)


def overlap(first: Box, second: Box | None) -> float:
    """Intersection over union of two boxes, 0..1; 0 when there is no second one."""
    if second is None:
        return 0.0
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (_area(first) + _area(second) - shared)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
