# SPDX-License-Identifier: Apache-2.0
"""The memory of answers."""

from __future__ import annotations

from gar_ros.engine.encoded_frame import Answer
from gar_ros.memory.answers import AnswerMemory, AnswerRecord


def answered(question: str, text: str, *region_ids: str) -> AnswerRecord:
    answer = Answer(text, (), -1, (), 1.0, True, 5, 1, {})
    return AnswerRecord(answer, question, region_ids, (), 1, "camera", 0, 0)


def test_a_new_answer_to_the_same_question_about_the_same_regions_replaces_the_old_one() -> None:
    memory = AnswerMemory(8)
    memory.add(answered("colour?", "red", "a"))
    memory.add(answered("colour?", "blue", "b"))
    memory.add(answered("colour?", "green", "a"))
    assert [record.answer.text for record in memory.all()] == ["blue", "green"]


def test_only_the_last_answers_are_kept() -> None:
    memory = AnswerMemory(2)
    for name in "abc":
        memory.add(answered("colour?", name, name))
    assert [record.region_ids for record in memory.all()] == [("b",), ("c",)]


def test_a_regions_caption_is_the_newest_answer_in_which_it_is_the_first_prompt() -> None:
    memory = AnswerMemory(8)
    memory.add(answered("colour?", "red", "a"))
    memory.add(answered("Is <Prompt0> left of <Prompt1>?", "yes", "b", "a"))
    memory.add(answered("shape?", "mug", "a"))
    assert memory.captions() == {"a": "mug", "b": "yes: Is b left of a?"}


def test_a_caption_that_needs_its_question_names_regions_by_their_ids() -> None:
    memory = AnswerMemory(8)
    memory.add(answered("Which is larger, <Prompt0> or <Prompt1>?", "<Prompt1>", "8", "<Prompt0>"))
    memory.add(answered("Is <Prompt0> red?", "no", "2"))
    assert memory.captions() == {
        "8": "<Prompt0>: Which is larger, 8 or <Prompt0>?",
        "2": "no: Is 2 red?",
    }
