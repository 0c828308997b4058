# SPDX-License-Identifier: Apache-2.0
"""From what came with an image to its regions, whatever the detector publishes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.detections import OWN, READERS, DetectedRegions, Found
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import Size
from gar_ros.messages.label_packing import LabelPacking
from gar_ros.messages.label_regions import LabelRegions
from gar_ros.messages.lazy_regions import LazyRegions, check_number
from gar_ros.messages.regions import MessageRegions
from gar_ros.settings.inputs import InputSettings

_WAITING = 10
"""Images whose detections or label image wait for the other."""


class RegionBuilder:
    """Keeps detections and label images until both of an image are there, where the one has the other's masks."""

    def __init__(self, inputs: InputSettings) -> None:
        self._type, self._packing = inputs.regions_type, LabelPacking.of(inputs)
        self.joins = inputs.regions_type != OWN and inputs.regions_masks == "instances"
        """Whether the masks of the detections are those of the label image."""
        self._labels: OrderedDict[int, LabelRegions] = OrderedDict()
        self._found: OrderedDict[int, list[Found]] = OrderedDict()

    def of_detections(self, message: Any, size: Size) -> LazyRegions[Any] | None:
        """Of a message on topic `regions` for an image of `size`; None while its label image is awaited. Raises
        GarError INVALID_REQUEST."""
        if self._type == OWN:
            _check_size((message.width, message.height), size)
            return MessageRegions(message)
        check_number(len(message.detections))
        stamp = stamp_ns(message.header.stamp)
        found = READERS[self._type](message)
        if not self.joins:
            return DetectedRegions(found, size, stamp)
        self._found[stamp] = found
        return self._joined(stamp, size)

    def of_labels(self, message: Any, size: Size) -> LazyRegions[Any] | None:
        """Of a label image on topic `instances`; the rest as in `of_detections`."""
        _check_size((message.width, message.height), size)
        labels = LabelRegions(message, self._packing)
        if not self.joins:
            return labels
        stamp = stamp_ns(message.header.stamp)
        self._labels[stamp] = labels
        return self._joined(stamp, size)

    def clear(self) -> None:
        """Stamps have started anew."""
        self._labels.clear()
        self._found.clear()

    def _joined(self, stamp: int, size: Size) -> LazyRegions[Any] | None:
        """Detections and label image of one stamp, which were published for the same image."""
        for waiting in (self._labels, self._found):
            while len(waiting) > _WAITING:
                waiting.popitem(last=False)
        if stamp not in self._labels or stamp not in self._found:
            return None
        return DetectedRegions(self._found.pop(stamp), size, stamp, self._labels.pop(stamp))


def _check_size(given: Size, image: Size) -> None:
    if given != image:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"they are for an image of {given[0]}x{given[1]} px, the image of that stamp has {image[0]}x{image[1]} px",
        )
