"""The newest answers."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gar_ros.geometry.extent import Extent

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import Answer


@dataclass(frozen=True)
class AnswerRecord:
    """An answer with what was asked and of which image.

    region_ids[N] is <PromptN>. choices: empty for an open question. stamp_ns, frame_id: of the image.
    age_ns: from the image's stamp to the start of work. latency_ns: from the request's arrival to its answer.
    extents[N]: where region_ids[N] was in space. stamps_ns: of all images of a video, oldest first; else empty.
    dialogue: id of the conversation it belongs to, empty when to none.
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
    """The last answers, one per question and regions. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, tuple[str, ...]], AnswerRecord] = OrderedDict()

    def add(self, record: AnswerRecord) -> None:
        """Replaces the earlier answer to the same question about the same regions."""
        key = (record.question, record.region_ids)
        with self._lock:
            self._answers[key] = record
            self._answers.move_to_end(key)
            while len(self._answers) > self._capacity:
                self._answers.popitem(last=False)

    def all(self) -> list[AnswerRecord]:
        """Oldest first."""
        with self._lock:
            return list(self._answers.values())

    def captions(self) -> dict[str, str]:
        """What the newest answer says of each region, by the region that is <Prompt0>."""
        return {record.region_ids[0]: _caption(record) for record in self.all()}


def _caption(record: AnswerRecord) -> str:
    """The answer, with its question where nobody could read it alone ("no: Is 3 inside 5?"); prompts by region id."""
    text, question = (_with_ids(part, record.region_ids) for part in (record.answer.text, record.question))
    alone = len(record.region_ids) == 1 and record.answer.text.lower() not in ("yes", "no")
    return text if alone else f"{text}: {question}"


def _with_ids(text: str, region_ids: tuple[str, ...]) -> str:
    names = {f"<Prompt{number}>": region_id for number, region_id in enumerate(region_ids)}
    return re.sub(r"<Prompt\d+>", lambda prompt: names.get(prompt[0], prompt[0]), text)
