# SPDX-License-Identifier: Apache-2.0
"""Conversations about the regions of one image, kept so that further questions can follow."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gar_ros.engine.kv_cache import bytes_of
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import printable

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import Conversation, EncodedFrame
    from gar_ros.memory.answers import AnswerRecord

NEW = "new"
"""The dialogue id of a question that begins a conversation."""


@dataclass(frozen=True, eq=False)
class Dialogue:
    """One conversation that is remembered.

    conversation: its last answer and the KV cache. record: the last answer's record. prompts: number of regions that
    its questions can name. used: time of its last turn in seconds of `DialogueMemory`'s clock.
    """

    encoded: EncodedFrame
    conversation: Conversation
    record: AnswerRecord
    prompts: int
    used: float


_REMEMBERED = 1000
"""Number of dropped dialogues of which is known why they were dropped."""


class DialogueMemory:
    """The newest conversations. Their ids can't be guessed and are never reused. Thread-safe."""

    def __init__(self, capacity: int, expiry: float, now: Callable[[], float] = time.monotonic) -> None:
        """capacity: number of conversations kept. expiry: seconds after its last turn in which a conversation can go
        on. now: a monotonic clock, seconds."""
        self._capacity, self._expiry, self._now = capacity, expiry, now
        self._lock = threading.Lock()
        self._dialogues: OrderedDict[str, Dialogue] = OrderedDict()
        self._dropped: OrderedDict[str, str] = OrderedDict()
        self._begun = 0

    def begin(
        self, encoded: EncodedFrame, conversation: Conversation, record: AnswerRecord, prompts: int
    ) -> AnswerRecord:
        """The record of a first turn with the id of the conversation that it begins.

        prompts: number of regions that the conversation's questions can name.
        """
        with self._lock:
            self._drop_expired()
            self._begun += 1
            name = f"{self._begun}-{secrets.token_hex(8)}"
            record = replace(record, dialogue=name)
            self._dialogues[name] = Dialogue(encoded, conversation, record, prompts, self._now())
            while len(self._dialogues) > self._capacity:
                self._drop_oldest(f"for newer ones (dialogue.dialogues_kept is {self._capacity})")
        return record

    def __len__(self) -> int:
        return len(self._dialogues)

    @property
    def nbytes(self) -> int:
        """Size in bytes of the KV caches of all conversations."""
        with self._lock:
            return bytes_of(dialogue.conversation.cache for dialogue in self._dialogues.values())

    def forget_one(self) -> bool:
        """Drops the conversation that was used least recently, unless it is the only one."""
        with self._lock:
            if len(self._dialogues) < 2:
                return False
            self._drop_oldest("because the memory for conversations is full (memory.max_memory)")
            return True

    def _drop_expired(self) -> None:
        now = self._now()
        for name, dialogue in list(self._dialogues.items()):
            if now - dialogue.used > self._expiry:
                del self._dialogues[name]
                self._note(name, "because it was not used for that long (dialogue.expire_after)")

    def _drop_oldest(self, why: str) -> None:
        name, _ = self._dialogues.popitem(last=False)
        self._note(name, why)

    def _note(self, name: str, why: str) -> None:
        self._dropped[name] = why
        while len(self._dropped) > _REMEMBERED:
            self._dropped.popitem(last=False)

    def get(self, name: str) -> Dialogue:
        """The conversation of this id. Raises GarError UNKNOWN_DIALOGUE when it is not kept or has expired."""
        with self._lock:
            self._drop_expired()
            dialogue = self._dialogues.get(name)
            if dialogue is None:
                dropped = f", which was dropped {self._dropped[name]}" if name in self._dropped else ""
                raise GarError(
                    ErrorCode.UNKNOWN_DIALOGUE,
                    f"expected the id of a dialogue used within the last {self._expiry:g} s (the newest "
                    f"{self._capacity} are kept), got '{printable(name[:40])}'{dropped}; begin another with dialogue "
                    f"'{NEW}'",
                )
            return dialogue

    def add_turn(self, name: str, conversation: Conversation, record: AnswerRecord) -> None:
        """Remembers a further turn, unless the conversation was dropped meanwhile."""
        with self._lock:
            dialogue = self._dialogues.get(name)
            if dialogue is not None:
                self._dialogues[name] = replace(dialogue, conversation=conversation, record=record, used=self._now())
                self._dialogues.move_to_end(name)
