"""Conversations that go on about the same regions."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gar_ros.errors import ErrorCode, GarError

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import Conversation, EncodedFrame
    from gar_ros.memory.answers import AnswerRecord

NEW = "new"
"""Begins a conversation."""


@dataclass(frozen=True, eq=False)
class Dialogue:
    """One conversation. answered: its last answer. prompts: regions it can name."""

    encoded: EncodedFrame
    turns: Conversation
    answered: AnswerRecord
    prompts: int
    used: float


class DialogueMemory:
    """The newest conversations, by ids that nobody can guess and that never come back. Thread-safe."""

    def __init__(self, capacity: int, expiry: float, now: Callable[[], float] = time.monotonic) -> None:
        """expiry: seconds since the last turn. now: seconds."""
        self._capacity, self._expiry, self._now = capacity, expiry, now
        self._lock = threading.Lock()
        self._dialogues: OrderedDict[str, Dialogue] = OrderedDict()
        self._begun = 0

    def begin(self, encoded: EncodedFrame, turns: Conversation, answered: AnswerRecord, prompts: int) -> AnswerRecord:
        """Remembers a first turn; the answer with the conversation's id."""
        with self._lock:
            self._begun += 1
            name = f"{self._begun}-{secrets.token_hex(8)}"
            answered = replace(answered, dialogue=name)
            self._dialogues[name] = Dialogue(encoded, turns, answered, prompts, self._now())
            while len(self._dialogues) > self._capacity:
                self._dialogues.popitem(last=False)
        return answered

    def get(self, name: str) -> Dialogue:
        """Raises GarError UNKNOWN_DIALOGUE."""
        with self._lock:
            dialogue = self._dialogues.get(name)
            if dialogue is not None and self._now() - dialogue.used > self._expiry:
                del self._dialogues[name]
                dialogue = None
            if dialogue is None:
                raise GarError(
                    ErrorCode.UNKNOWN_DIALOGUE,
                    f"expected an id of a dialogue used within {self._expiry:g} s, got '{name[:40]}'; {self._capacity} "
                    f"are kept",
                )
            return dialogue

    def go_on(self, name: str, turns: Conversation, answered: AnswerRecord) -> None:
        """Remembers a further turn, unless the conversation was dropped meanwhile."""
        with self._lock:
            if name in self._dialogues:
                self._dialogues[name] = replace(self._dialogues[name], turns=turns, answered=answered, used=self._now())
                self._dialogues.move_to_end(name)
