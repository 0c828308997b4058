"""When an image becomes a keyframe."""

from __future__ import annotations

from gar_ros.region import Box


class KeyframeSchedule:
    """Asks for a keyframe once in a period of image time, and at once when a region is new or has changed much.

    period_ns: of the images' stamps. change: a box changed much when its overlap (intersection over union) with that
    in the last keyframe is less.
    """

    def __init__(self, period_ns: int, change: float) -> None:
        self._period_ns, self._change = period_ns, change
        self._stamp_ns: int | None = None
        self._boxes: dict[str, Box] = {}

    def due(self, stamp_ns: int, boxes: dict[str, Box]) -> bool:
        """Whether an image with these regions should become a keyframe. Stamps that went back start anew."""
        if not boxes or stamp_ns == self._stamp_ns:
            return False
        if self._stamp_ns is None or not 0 <= stamp_ns - self._stamp_ns < self._period_ns:
            return True
        return any(overlap(box, self._boxes.get(name)) < self._change for name, box in boxes.items())

    def made(self, stamp_ns: int, boxes: dict[str, Box]) -> None:
        """An image became a keyframe."""
        self._stamp_ns, self._boxes = stamp_ns, dict(boxes)


def overlap(one: Box, other: Box | None) -> float:
    """Intersection over union of two half-open boxes, 0..1; 0 without the other."""
    if other is None:
        return 0.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
