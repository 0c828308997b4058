# SPDX-License-Identifier: Apache-2.0
"""Which topics of a bag are the camera's and the detectors'."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.detections import OWN, message_type
from gar_ros.messages.pairing import Input
from gar_ros.settings.inputs import REGIONS_TYPES, InputSettings

IMAGE_TYPES: dict[str, Any] = {"sensor_msgs/Image": Image, "sensor_msgs/CompressedImage": CompressedImage}


@dataclass(frozen=True)
class Topics:
    """What to read: topic names in the bag. regions or instances may be empty, and both when the bag has only one
    that fits; both together: the detections' masks are in the label image."""

    image: str
    regions: str = ""
    instances: str = ""

    def resolved(self, types: dict[str, str]) -> Topics:
        """With the usual names where none is given. Raises GarError INVALID_REQUEST naming what the bag has."""
        regions, instances = self.regions, self.instances
        if not regions and not instances:
            regions, instances = ("/regions" if "/regions" in types else ""), ""
            if not regions:
                instances = "/instances"
        wanted = {self.image: tuple(IMAGE_TYPES)}
        wanted |= {regions: REGIONS_TYPES} if regions else {}
        wanted |= {instances: ("sensor_msgs/Image",)} if instances else {}
        for topic, kinds in wanted.items():
            if types.get(topic) not in kinds:
                there = ", ".join(f"{name} ({kind})" for name, kind in sorted(types.items()))
                raise GarError(
                    ErrorCode.INVALID_REQUEST,
                    f"expected {' or '.join(kinds)} on topic {topic}; the bag has {there or 'no messages'}",
                )
        return Topics(self.image, regions, instances)


class Inputs:
    """The topics that are read, and what is on them."""

    def __init__(self, topics: Topics, types: dict[str, str]) -> None:
        """topics: resolved. types: of all topics of the bag. Raises GarError INVALID_REQUEST where the package of a
        type is not installed."""
        detections = types.get(topics.regions, OWN)
        masks = "instances" if topics.regions and topics.instances else "own"
        self.settings = InputSettings(regions_type=detections, regions_masks=masks)
        self.kinds = {topics.image: Input.IMAGE}
        """By topic."""
        self.classes: dict[Input, Any] = {Input.IMAGE: IMAGE_TYPES[types[topics.image]]}
        """The Python type of the messages."""
        if topics.regions:
            self.kinds[topics.regions], self.classes[Input.REGIONS] = Input.REGIONS, message_type(detections)
        if topics.instances:
            self.kinds[topics.instances], self.classes[Input.INSTANCES] = Input.INSTANCES, Image

    @property
    def together(self) -> bool:
        """Whether an image needs both a detector's message and a label image."""
        return len(self.kinds) == len(Input) and self.settings.regions_type != OWN
