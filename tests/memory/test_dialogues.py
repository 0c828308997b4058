# SPDX-License-Identifier: Apache-2.0
"""Conversations: which are kept, and that they stay apart."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gar_ros.engine.encoded_frame import Answer
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.dialogues import DialogueMemory


def record(text: str) -> AnswerRecord:
    return AnswerRecord(Answer(text, (), -1, (), 1.0, True, 0, 0, {}), "?", ("a",), (), 1, "camera", 0, 0)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def memory(clock: Clock) -> DialogueMemory:
    return DialogueMemory(2, 10.0, clock)


def begin(memory: DialogueMemory, conversation: str) -> str:
    return memory.begin(cast(Any, "frame"), cast(Any, conversation), record(conversation), 1).dialogue


def conversation_of(memory: DialogueMemory, name: str) -> Any:
    return memory.get(name).conversation


def code_of(memory: DialogueMemory, name: str) -> ErrorCode:
    with pytest.raises(GarError, match="expected the id of a dialogue used within the last 10 s") as caught:
        memory.get(name)
    return caught.value.code


def test_each_conversation_has_its_own_turns(memory: DialogueMemory) -> None:
    first, second = begin(memory, "one"), begin(memory, "other")
    assert first != second
    memory.add_turn(first, cast(Any, "one more"), record("x"))
    assert [conversation_of(memory, first), conversation_of(memory, second)] == ["one more", "other"]


def test_the_longest_unused_is_dropped_and_ids_do_not_come_back(memory: DialogueMemory) -> None:
    first, second = begin(memory, "1"), begin(memory, "2")
    memory.add_turn(first, cast(Any, "1b"), record("x"))
    third = begin(memory, "3")
    assert code_of(memory, second) is ErrorCode.UNKNOWN_DIALOGUE
    assert conversation_of(memory, first) == "1b"
    assert len({first, second, third}) == 3


def test_what_was_not_used_for_long_has_expired(memory: DialogueMemory, clock: Clock) -> None:
    name = begin(memory, "1")
    clock.seconds = 9.0
    memory.add_turn(name, cast(Any, "2"), record("x"))
    clock.seconds = 18.0
    assert conversation_of(memory, name) == "2"
    clock.seconds = 20.0
    assert code_of(memory, name) is ErrorCode.UNKNOWN_DIALOGUE
    memory.add_turn(name, cast(Any, "3"), record("x"))
    assert code_of(memory, name) is ErrorCode.UNKNOWN_DIALOGUE
