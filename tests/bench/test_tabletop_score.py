# SPDX-License-Identifier: Apache-2.0
"""Accuracy, chance, intervals and calibration of answers whose truth is known."""

from __future__ import annotations

import math

import pytest

from gar_ros.bench.tabletop_score import (
    Result,
    calibration_error,
    chance_of,
    group_of,
    result_of,
    summary,
    table,
    wilson,
)
from gar_ros.sim.questions import Question


def closed(text: str, choices: tuple[str, ...], answer: str, kind: str = "any") -> Question:
    return Question(kind=kind, text=text, choices=choices, answer=answer, regions=())


def answers(right: int, count: int, group: str = "relations", confidence: float | None = None) -> list[Result]:
    return [Result("left_of", group, number < right, 0.5, confidence) for number in range(count)]


@pytest.mark.parametrize(
    ("question", "group"),
    [
        (closed("What colour is <Prompt0>?", ("red", "blue"), "red"), "attributes"),
        (closed("Can you see a red mug?", ("yes", "not visible"), "yes"), "attributes"),
        (closed("Is <Prompt1> left of <Prompt0>?", ("yes", "no"), "no"), "relations"),
        (closed("Which is larger?", ("<Prompt0>", "<Prompt1>"), "<Prompt0>"), "relations"),
        (closed("Which is closest to <Prompt2>?", ("<Prompt0>", "<Prompt1>"), "<Prompt0>"), "three_regions"),
        (closed("Which is red?", ("<Prompt0>", "<Prompt1>", "<Prompt3>", "<Prompt4>"), "<Prompt0>"), "three_regions"),
        (closed('Does "a mug" describe <Prompt0>?', ("yes", "no"), "no", "describes"), "phrases"),
        (closed("Describe <Prompt0>.", (), "a large red plain ball"), "captions"),
    ],
)
def test_a_question_belongs_to_the_group_of_the_regions_it_names(question: Question, group: str) -> None:
    assert group_of(question) == group


def test_chance_is_a_guess_among_all_possible_answers() -> None:
    assert chance_of(closed("?", ("A", "B", "C", "D"), "A")) == 0.25
    assert chance_of(closed("?", (), "a red ball", "what_is")) == pytest.approx(1 / 48)
    assert chance_of(closed("?", (), "a large red plain ball", "caption")) == pytest.approx(1 / 192)


def test_an_answer_is_right_when_it_is_the_truth_word_for_word() -> None:
    question = closed("<Prompt0>?", ("yes", "no"), "no")
    assert result_of(question, "no", 0.8) == Result("any", "attributes", True, 0.5, 0.8)
    assert not result_of(question, "yes", 0.8).right
    free = closed("<Prompt0>?", (), "a red ball", "what_is")
    assert result_of(free, "a red ball", 0.8).confidence is None


def test_the_interval_is_wilson_s() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)


def test_calibration_compares_confidence_and_accuracy_bin_by_bin() -> None:
    assert calibration_error(answers(9, 10, confidence=0.9)) == pytest.approx(0.0)
    assert calibration_error(answers(5, 10, confidence=0.9)) == pytest.approx(0.4)
    halves = answers(5, 10, confidence=0.9) + answers(5, 10, confidence=0.5)
    assert calibration_error(halves) == pytest.approx(0.2)
    assert math.isnan(calibration_error(answers(1, 2)))


def test_a_summary_has_groups_and_kinds_with_chance_and_blind_answers() -> None:
    report = summary(answers(9, 10, confidence=0.9), answers(1, 2, confidence=0.5))
    row = report["groups"]["relations"]
    assert (row["accuracy"], row["count"], row["chance"], row["blind"]) == (0.9, 10, 0.5, 0.5)
    assert report["types"]["left_of"] == row
    assert set(report["groups"]) == {"relations"}
    phrases = summary(answers(9, 10, confidence=0.9) + answers(5, 10, "phrases", 0.9), [])
    assert phrases["calibration_error"] == pytest.approx(0.0)
    assert phrases["phrases_calibration_error"] == pytest.approx(0.4)
    assert "| **relations** | 90.0 | 59.6 to 98.2 | 50.0 | 50.0 | 10 |" in table(report)
    assert "| - | 10 |" in table(summary(answers(9, 10), []))
