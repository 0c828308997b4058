# SPDX-License-Identifier: Apache-2.0
"""Answers with what they are about, and a memory of the newest ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gar_ros.geometry.extent import Extent
from gar_ros.region import with_ids

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import Answer


@dataclass(frozen=True)
class AnswerRecord:
    """An answer with its question and the image that it is about. Times are in nanoseconds.

    region_ids: region_ids[N] is <PromptN> of the question. choices: empty for an open question. stamp_ns: the image's
    stamp. frame_id: the camera's optical frame. age_ns: time from the image's stamp to the start of the model's work.
    latency_ns: time from the request's arrival to its answer. extents: extents[N] is where region_ids[N] was in space.
    stamps_ns: stamps of all images of a video, oldest first; empty for a single image. dialogue: id of the
    conversation that the answer belongs to; empty for a question that is not part of one.
    """

    answer: Answer
    question: str
    region_ids: tuple[str, ...]
    choices: tuple[str, ...]
    stamp_ns: int
    frame_id: str
    age_ns: int
    latency_ns: int
    extents: tuple[Extent, ...] = ()
    stamps_ns: tuple[int, ...] = ()
    dialogue: str = ""


class AnswerMemory:
    """The newest answers, at most one for the same question about the same regions. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        """capacity: number of answers kept."""
        self._capacity = capacity
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, tuple[str, ...]], AnswerRecord] = OrderedDict()

    def add(self, record: AnswerRecord) -> None:
        """Remembers an answer; it replaces an earlier one to the same question about the same regions."""
        key = (record.question, record.region_ids)
        with self._lock:
            self._answers[key] = record
            self._answers.move_to_end(key)
            while len(self._answers) > self._capacity:
                self._answers.popitem(last=False)

    def all(self) -> list[AnswerRecord]:
        """The answers that are kept, oldest first."""
        with self._lock:
            return list(self._answers.values())

    def captions(self) -> dict[str, str]:
        """A short text about each region, by region id: the newest answer in whose question it is <Prompt0>."""
        return {record.region_ids[0]: _caption(record) for record in self.all()}


def _caption(record: AnswerRecord) -> str:
    """The answer with region ids instead of <PromptN>, and the question where the answer alone says nothing.

    An example is "no: Is 3 inside 5?".
    """
    text, question = (with_ids(part, record.region_ids) for part in (record.answer.text, record.question))
    says_enough = len(record.region_ids) == 1 and record.answer.text.lower() not in ("yes", "no")
    return text if says_enough else f"{text}: {question}"
