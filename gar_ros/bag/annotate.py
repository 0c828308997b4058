# SPDX-License-Identifier: Apache-2.0
"""Answers questions about the images of a bag and writes answers and overlays into another."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from gar_ros.bag.files import BagReader, BagWriter, Recorded
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt import Question
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, askable
from gar_ros.geometry.extent import Extent
from gar_ros.memory.answers import AnswerMemory, AnswerRecord
from gar_ros.messages.answers import answer_message
from gar_ros.messages.detections import OWN, message_type
from gar_ros.messages.headers import header_message
from gar_ros.messages.images import image_message
from gar_ros.messages.pairing import FramePairing, Input
from gar_ros.msg import AnswerArray
from gar_ros.region import Region
from gar_ros.settings.groups import REGIONS_TYPES, InputSettings, SyncSettings
from gar_ros.view.overlay import draw_overlay

ANSWERS, OVERLAY = "/gar/answers", "/gar/overlay"
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


@dataclass(frozen=True)
class Asking:
    """What is asked of an image. questions: none asks for a description of each region. region_ids: <Prompt0>..; none
    asks about every region alone. every_ns: least time between two images."""

    questions: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    region_ids: tuple[str, ...] = ()
    every_ns: int = 0
    max_tokens: int = 64
    max_tiles: int | None = None

    def parse(self, engine: GarEngine) -> list[Question]:
        """The questions of every image. Raises GarError for what `engine` could never answer."""
        count = max(1, len(self.region_ids))
        return [engine.parse(text, self.choices, count, self.max_tokens) for text in self.questions or (None,)]


@dataclass
class Count:
    """What came of it. images: that had regions. skipped: messages that could not be used, how many for which
    reason."""

    images: int = 0
    answers: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


class Annotator:
    """Takes a bag's messages one by one. progress: told after each image, with its stamp in nanoseconds."""

    def __init__(
        self,
        engine: GarEngine,
        writer: BagWriter,
        topics: Topics,
        types: dict[str, str],
        asking: Asking,
        questions: Sequence[Question],
        progress: Callable[[int], None] = lambda stamp: None,
    ) -> None:
        self._engine, self._writer, self._asking, self._progress = engine, writer, asking, progress
        self._questions = questions
        self.count = Count()
        detections = types.get(topics.regions, OWN)
        masks = "instances" if topics.regions and topics.instances else "own"
        self._classes: dict[str, Any] = {topics.image: IMAGE_TYPES[types[topics.image]]}
        self._kinds = {topics.image: Input.IMAGE}
        if topics.regions:
            self._classes[topics.regions], self._kinds[topics.regions] = message_type(detections), Input.REGIONS
        if topics.instances:
            self._classes[topics.instances], self._kinds[topics.instances] = Image, Input.INSTANCES
        inputs = InputSettings(regions_type=detections, regions_masks=masks)
        self._pairing = FramePairing(inputs, SyncSettings(), lambda kind: kind in self._kinds.values())
        self._last_ns: int | None = None
        self._logged_ns = 0

    def take(self, message: Recorded) -> None:
        """A message of any topic; answers are written when an image has its regions."""
        if message.topic not in self._kinds:
            return
        self._logged_ns = message.logged_ns
        try:
            decoded = deserialize_message(message.data, self._classes[message.topic])
        except RuntimeError:  # Fast CDR's: the bytes are no such message
            self.count.skipped[f"a message on {message.topic} can't be decoded"] += 1
            return
        arrival = self._pairing.add(self._kinds[message.topic], decoded)
        if arrival.restarted:
            self._last_ns = None
        self.count.skipped.update(reason for reason in arrival.verdicts.values() if reason)
        for frame in arrival.pairs:
            try:
                self._take_frame(frame)
            except GarError as error:
                self.count.skipped[error.message] += 1

    def _take_frame(self, frame: Frame) -> None:
        """Raises GarError for a frame that can't be answered about."""
        stamp = frame.stamp_ns
        # At least one: detections and label image of one image may both make a frame of it.
        if self._last_ns is not None and 0 <= stamp - self._last_ns < max(self._asking.every_ns, 1):
            return
        regions = askable(frame)
        if regions:
            self._answer(frame, regions)
            self._last_ns = stamp

    def _answer(self, frame: Frame, regions: list[Region]) -> None:
        answers = AnswerMemory(len(regions) * len(self._questions))
        for chosen in self._chosen(regions):
            start = time.monotonic_ns()
            encoded = self._engine.encode(frame.image, chosen, self._asking.max_tiles)
            for question in self._questions:
                answer = encoded.ask(question, max_tokens=self._asking.max_tokens)
                answers.add(
                    AnswerRecord(
                        answer=answer,
                        question=question.text,
                        region_ids=tuple(region.id for region in chosen),
                        choices=question.choices,
                        stamp_ns=frame.stamp_ns,
                        frame_id=frame.frame_id,
                        age_ns=0,
                        latency_ns=time.monotonic_ns() - start,
                        extents=tuple(Extent(frame.frame_id, frame.stamp_ns) for _ in chosen),
                    )
                )
        header = header_message(frame.frame_id, frame.stamp_ns)
        messages = [answer_message(one) for one in answers.all()]
        self._writer.write(ANSWERS, AnswerArray(answers=messages), self._logged_ns)
        picture = draw_overlay(frame.image, regions, answers.captions())
        self._writer.write(OVERLAY, image_message(picture, "rgb8", header), self._logged_ns)
        self.count.images += 1
        self.count.answers += len(messages)
        self._progress(frame.stamp_ns)

    def _chosen(self, regions: list[Region]) -> list[list[Region]]:
        """The regions of each prompt. Raises GarError UNKNOWN_REGION."""
        if not self._asking.region_ids:
            return [[region] for region in regions]
        there = {region.id: region for region in regions}
        missing = [region_id for region_id in self._asking.region_ids if region_id not in there]
        if missing:
            raise GarError(ErrorCode.UNKNOWN_REGION, f"region '{missing[0]}' is not in the image")
        return [[there[region_id] for region_id in self._asking.region_ids]]


def annotate(
    reader: BagReader,
    writer: BagWriter,
    engine: GarEngine,
    topics: Topics,
    asking: Asking,
    questions: Sequence[Question],
    with_input: bool,
    progress: Callable[[int], None] = lambda stamp: None,
) -> Count:
    """Answers about all images of `reader`. topics: resolved. questions: of `asking`, parsed. with_input: the bag's
    messages are copied.

    Raises GarError INVALID_REQUEST.
    """
    annotator = Annotator(engine, writer, topics, reader.types(), asking, questions, progress)
    for message in reader.messages():
        if with_input:
            writer.copy(message)
        annotator.take(message)
    return annotator.count
