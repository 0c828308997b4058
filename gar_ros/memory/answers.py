"""The newest answers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gar_ros.engine.engine import Answer


@dataclass(frozen=True)
class Answered:
    """An answer with what was asked and of which image.

    region_ids[N] is <PromptN>. choices: empty for an open question. stamp_ns, frame_id: of the image.
    age_ns: from the image's stamp to the start of work. latency_ns: from the request's arrival to its answer.
    """

    answer: Answer
    question: str
    region_ids: tuple[str, ...]
    choices: tuple[str, ...]
    stamp_ns: int
    frame_id: str
    age_ns: int
    latency_ns: int


class AnswerMemory:
    """The last answers, one per question and regions. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._answers: OrderedDict[tuple[str, tuple[str, ...]], Answered] = OrderedDict()

    def add(self, answered: Answered) -> None:
        """Replaces the earlier answer to the same question about the same regions."""
        key = (answered.question, answered.region_ids)
        with self._lock:
            self._answers[key] = answered
            self._answers.move_to_end(key)
            while len(self._answers) > self._capacity:
                self._answers.popitem(last=False)

    def all(self) -> list[Answered]:
        """Oldest first."""
        with self._lock:
            return list(self._answers.values())

    def captions(self) -> dict[str, str]:
        """The newest answer's text for each region, by the region that is <Prompt0>."""
        return {answered.region_ids[0]: answered.answer.text for answered in self.all()}
