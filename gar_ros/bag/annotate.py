# SPDX-License-Identifier: Apache-2.0
"""Answers questions about the images of a bag and writes answers and overlays into another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy.serialization import deserialize_message

from gar_ros.bag.files import BagReader, BagWriter, Recorded
from gar_ros.bag.inputs import Inputs
from gar_ros.bag.pending import Pending, pending_in
from gar_ros.bag.plan import Pair, Plan
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt import Question
from gar_ros.errors import LEAVING, ErrorCode, GarError, GpuLostError
from gar_ros.frame import Frame, askable
from gar_ros.geometry.extent import Extent
from gar_ros.memory.answers import AnswerMemory, AnswerRecord
from gar_ros.messages.answers import answer_message
from gar_ros.messages.headers import header_message
from gar_ros.messages.images import frame_of, image_message
from gar_ros.messages.pairing import Arrival, FrameRegions, Input
from gar_ros.messages.stamp_clock import CLOCK_JUMP_NS
from gar_ros.msg import AnswerArray
from gar_ros.region import Region
from gar_ros.view.overlay import draw_overlay

ANSWERS, OVERLAY = "/gar/answers", "/gar/overlay"


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
    """What came of it. images: that were answered about. skipped: messages that could not be used, how many for which
    reason. odd: by topic, how many messages have detections that are left out or named anew, and what is wrong in the
    first of them. bare: images in which no region has a pixel. between: images left out because one less than
    `every_ns` away was answered."""

    images: int = 0
    answers: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    odd: dict[str, tuple[int, str]] = field(default_factory=dict)
    bare: int = 0
    between: int = 0


class Annotator:
    """Takes a bag's messages one by one. progress: told the number of images after each. keep: given the answers about
    each image."""

    def __init__(
        self,
        engine: GarEngine,
        writer: BagWriter,
        inputs: Inputs,
        plan: Plan,
        pending: Pending,
        asking: Asking,
        questions: Sequence[Question],
        progress: Callable[[int], None] = lambda images: None,
        keep: Callable[[list[AnswerRecord]], None] = lambda records: None,
    ) -> None:
        self._engine, self._writer, self._asking, self._progress, self._keep = engine, writer, asking, progress, keep
        self._inputs, self._plan, self._pending, self._questions = inputs, plan, pending, questions
        self.count = Count()
        self._regions = FrameRegions(inputs.settings)
        self._topics = {kind: topic for topic, kind in inputs.kinds.items()}
        self._number = 0
        self._last_ns: int | None = None
        self._logged_ns = self._fed_ns = 0
        self._done: set[int] = set()  # numbers of images that are dealt with
        self._broken: set[int] = set()  # numbers of messages that can't be used
        self._bare: set[int] = set()  # numbers of images in which no region has a pixel

    def take(self, message: Recorded) -> None:
        """A message of any topic; answers are written when an image has its regions."""
        if message.topic not in self._inputs.kinds:
            return
        number, self._logged_ns = self._number, message.logged_ns
        self._number += 1
        if number not in self._plan.last_use:
            return
        self._pending.put(number, message.data)
        due, told = self._plan.due.get(number, []), self.count.skipped.total()
        for pair in due:
            self._take_pair(pair)
        handled = not due or due[0].image in self._done or due[0].image in self._bare
        if self._inputs.together and not handled and told == self.count.skipped.total():
            self.count.skipped["the detections and the label image of one image have different stamps"] += 1
        for used in {number for pair in due for number in (pair.image, pair.found)}:
            if self._plan.last_use[used] == number:
                self._pending.drop(used)

    def _take_pair(self, pair: Pair) -> None:
        image, found = self._decoded(Input.IMAGE, pair.image), self._decoded(pair.kind, pair.found)
        if image is None or found is None:
            return
        arrival = Arrival()
        try:
            frame = frame_of(image)
            if frame.stamp_ns < self._fed_ns - CLOCK_JUMP_NS:
                self._regions.clear()
            self._fed_ns = frame.stamp_ns
        except LEAVING:
            raise
        except BaseException as error:  # noqa: BLE001 whatever a message does to a library, the next one is another
            self._broken.add(pair.image)
            arrival.refuse(Input.IMAGE, error)
        else:
            self._regions.add(pair.kind, frame, found, arrival)
        self.count.skipped.update(f"{self._topics[kind]}: {why}" for kind, why in arrival.verdicts.items() if why)
        for kind, odd in arrival.odd.items():
            if odd:
                times, first = self.count.odd.get(self._topics[kind], (0, "; ".join(odd)))
                self.count.odd[self._topics[kind]] = times + 1, first
        for frame in arrival.pairs:
            if pair.image in self._done:
                continue
            try:
                (self._done if self._take_frame(frame) else self._bare).add(pair.image)
                self.count.bare = len(self._bare - self._done)
            except GpuLostError:  # no further image could be answered about
                raise
            except GarError as error:
                self.count.skipped[error.message] += 1

    def _decoded(self, kind: Input, number: int) -> Any:
        """The message, None where it can't be decoded."""
        if number in self._broken:
            return None
        try:
            return deserialize_message(self._pending.get(number), self._inputs.classes[kind])
        except (RuntimeError, MemoryError, ValueError):  # Fast CDR's and rclpy's: the bytes are no such message
            self._broken.add(number)
            self.count.skipped[f"a message on {self._topics[kind]} can't be decoded"] += 1
            return None

    def _take_frame(self, frame: Frame) -> bool:
        """Whether the image has regions. Raises GarError for a frame that can't be answered about."""
        stamp = frame.stamp_ns
        if self._last_ns is not None and abs(stamp - self._last_ns) < self._asking.every_ns:
            self.count.between += 1
            return True
        regions = askable(frame)
        if not regions:
            return False
        self._answer(frame, regions)
        self._last_ns = stamp
        return True

    def _answer(self, frame: Frame, regions: list[Region]) -> None:
        answers = AnswerMemory(len(regions) * len(self._questions))
        for chosen in self._chosen(regions):
            encoded = self._engine.encode(frame.image, chosen, self._asking.max_tiles)
            for question in self._questions:
                answer = encoded.ask(question, max_tokens=self._asking.max_tokens)
                record = AnswerRecord(
                    answer=answer,
                    question=question.text,
                    region_ids=tuple(region.id for region in chosen),
                    choices=question.choices,
                    stamp_ns=frame.stamp_ns,
                    frame_id=frame.frame_id,
                    age_ns=0,
                    latency_ns=0,  # a bag must not depend on how fast the machine was that answered
                    extents=tuple(Extent(frame.frame_id, frame.stamp_ns) for _ in chosen),
                )
                answers.add(record)
        header = header_message(frame.frame_id, frame.stamp_ns)
        records = answers.all()
        messages = [answer_message(one) for one in records]
        self._writer.write(ANSWERS, AnswerArray(answers=messages), self._logged_ns)
        picture = draw_overlay(frame.image, regions, answers.captions())
        self._writer.write(OVERLAY, image_message(picture, "rgb8", header), self._logged_ns)
        self._keep(records)
        self.count.images += 1
        self.count.answers += len(messages)
        self._progress(self.count.images)

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
    inputs: Inputs,
    plan: Plan,
    asking: Asking,
    questions: Sequence[Question],
    with_input: bool,
    progress: Callable[[int], None] = lambda images: None,
    keep: Callable[[list[AnswerRecord]], None] = lambda records: None,
) -> Count:
    """Answers about all images of `reader`. plan: of the same topics; it is used up. questions: of `asking`, parsed.
    with_input: the bag's messages are copied, besides answers of an earlier run. progress, keep: of `Annotator`.

    Raises GarError INVALID_REQUEST.
    """
    with pending_in(writer.folder) as pending:
        annotator = Annotator(engine, writer, inputs, plan, pending, asking, questions, progress, keep)
        for message in reader.messages(None if with_input else inputs.kinds):
            if with_input and message.topic not in (ANSWERS, OVERLAY):
                writer.copy(message)
            annotator.take(message)
    return annotator.count
