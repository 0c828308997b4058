# SPDX-License-Identifier: Apache-2.0
"""The regions of a label image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.encodings import LABEL_ENCODINGS, check_layout, checked_array
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.label_packing import LabelPacking
from gar_ros.messages.lazy_regions import LazyRegions
from gar_ros.messages.region_ids import Names, nameless
from gar_ros.region import Box, Region


class LabelRegions(LazyRegions[int]):
    """Every value above 0 of a label image is a region, in ascending order. It is named by its number; where numbers
    pack class and instance it has the class's label and no id."""

    def __init__(self, message: Image, packing: LabelPacking | None = None) -> None:
        """packing: None where a number is the instance alone. Raises GarError INVALID_REQUEST for a message that is no
        label image, or not a packed one, and for too many regions."""
        if message.encoding not in LABEL_ENCODINGS:
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"expected a label image of encoding {', '.join(LABEL_ENCODINGS)}, got '{message.encoding}'",
            )
        if packing is not None:
            packing.check(message.encoding)
        check_layout(message)
        self._message, self._packing = message, packing
        boxes = label_boxes(self._values())
        self._boxes = {value: box for value, box in boxes.items() if packing is None or packing.is_instance(value)}
        keys = tuple(map(str, self._boxes))
        if packing is None:
            names = Names(keys, keys, ())
        else:
            names = Names(keys, ("",) * len(keys), packing.oddities(boxes), nameless(len(keys), len(keys)))
        super().__init__(names, list(self._boxes))

    def _check(self, detection: int) -> None:
        """Each label has a pixel."""

    def _said(self, detection: int) -> tuple[str, float]:
        return self._label(detection), float("nan")

    def _box(self, key: str, detection: int) -> Box:
        return self._boxes[detection]

    def _build(self, key: str, detection: int) -> Region:
        labels, box = self._values(), self._boxes[detection]
        part = labels[box[1] : box[3], box[0] : box[2]] == detection
        size = (labels.shape[1], labels.shape[0])
        stamp = stamp_ns(self._message.header.stamp)
        return Region.from_part(key, part, box, size, stamp, self._label(detection))

    def _label(self, value: int) -> str:
        return self._packing.label(value) if self._packing is not None else ""

    def _values(self) -> NDArray[np.integer]:
        """(H, W)."""
        values = checked_array(self._message)
        return values if self._packing is None else self._packing.unsigned(values)

    def box(self, region_id: str) -> Box | None:
        """The tight bounds of a region, None where no pixel has this label."""
        value = self._detections.get(region_id)
        return self._boxes[value] if value is not None else None


def label_boxes(labels: NDArray[np.integer]) -> dict[int, Box]:
    """Tight bounds of all labels above 0 of (H, W), by label, in ascending order.

    From the runs of equal labels in the rows, of which there are far fewer than pixels.
    """
    width = labels.shape[1]
    begins = np.ones(labels.shape, bool)
    begins[:, 1:] = labels[:, 1:] != labels[:, :-1]
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], labels.size)
    values = labels.ravel()[starts]
    kept = values > 0
    starts, ends = starts[kept], ends[kept]
    labelled, place = np.unique(values[kept], return_inverse=True)
    rows, left = np.divmod(starts, width)
    low = np.full((2, len(labelled)), labels.size)
    high = np.zeros((2, len(labelled)), np.int64)
    for axis, (first, last) in enumerate(((left, left + ends - starts), (rows, rows + 1))):
        np.minimum.at(low[axis], place, first)
        np.maximum.at(high[axis], place, last)
    return {
        int(value): (x0, y0, x1, y1)
        for value, x0, y0, x1, y1 in zip(labelled, *low.tolist(), *high.tolist(), strict=True)
    }
