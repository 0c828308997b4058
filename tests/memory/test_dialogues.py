"""Conversations: which are kept, and that they stay apart."""

from __future__ import annotations

from typing import Any, cast

import pytest

from gar_ros.engine.encoded_frame import Answer
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.dialogues import DialogueMemory


def answered(text: str) -> AnswerRecord:
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


def begin(memory: DialogueMemory, turns: str) -> str:
    return memory.begin(cast(Any, "frame"), cast(Any, turns), answered(turns), 1).dialogue


def turns_of(memory: DialogueMemory, name: str) -> Any:
    return memory.get(name).turns


def code_of(memory: DialogueMemory, name: str) -> ErrorCode:
    with pytest.raises(GarError, match="expected an id of a dialogue used within 10 s") as caught:
        memory.get(name)
    return caught.value.code


def test_each_conversation_has_its_own_turns(memory: DialogueMemory) -> None:
    one, other = begin(memory, "one"), begin(memory, "other")
    assert one != other
    memory.go_on(one, cast(Any, "one more"), answered("x"))
    assert [turns_of(memory, one), turns_of(memory, other)] == ["one more", "other"]


def test_the_longest_unused_is_dropped_and_ids_do_not_come_back(memory: DialogueMemory) -> None:
    first, second = begin(memory, "1"), begin(memory, "2")
    memory.go_on(first, cast(Any, "1b"), answered("x"))
    third = begin(memory, "3")
    assert code_of(memory, second) is ErrorCode.UNKNOWN_DIALOGUE
    assert turns_of(memory, first) == "1b"
    assert len({first, second, third}) == 3


def test_what_was_not_used_for_long_has_expired(memory: DialogueMemory, clock: Clock) -> None:
    name = begin(memory, "1")
    clock.seconds = 9.0
    memory.go_on(name, cast(Any, "2"), answered("x"))
    clock.seconds = 18.0
    assert turns_of(memory, name) == "2"
    clock.seconds = 20.0
    assert code_of(memory, name) is ErrorCode.UNKNOWN_DIALOGUE
    memory.go_on(name, cast(Any, "3"), answered("x"))
    assert code_of(memory, name) is ErrorCode.UNKNOWN_DIALOGUE
