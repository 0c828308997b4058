# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from gar_ros.sim.generate import random_scene
from gar_ros.sim.question_kinds import KINDS
from gar_ros.sim.questions import Question, pick_regions, questions_for
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.truth import SceneTruth, scene_truth
from tests.sim.tabletop import SMALL_BALL, thing, truth_of

# <Prompt0> is a small red striped ball to the left of and before <Prompt1>, a large blue plain box.
ABOUT_A_BALL_AND_A_BOX = {
    "What colour is <Prompt0>?": "red",
    "What colour is <Prompt1>?": "blue",
    "What shape is <Prompt0>?": "ball",
    "What shape is <Prompt1>?": "box",
    "Is <Prompt0> small or large?": "small",
    "Is <Prompt1> small or large?": "large",
    "Is <Prompt0> plain or striped?": "striped",
    "Is <Prompt1> plain or striped?": "plain",
    "Describe <Prompt0>.": "a small red striped ball",
    "Describe <Prompt1>.": "a large blue plain box",
    "Is <Prompt0> to the left of <Prompt1>?": "yes",
    "Is <Prompt1> to the left of <Prompt0>?": "no",
    "Is <Prompt0> to the right of <Prompt1>?": "no",
    "Is <Prompt1> to the right of <Prompt0>?": "yes",
    "Is <Prompt0> in front of <Prompt1>?": "yes",
    "Is <Prompt1> in front of <Prompt0>?": "no",
    "Is <Prompt0> behind <Prompt1>?": "no",
    "Is <Prompt1> behind <Prompt0>?": "yes",
    "What is <Prompt0>?": "a red ball",
    "What is <Prompt1>?": "a blue box",
    "Is <Prompt0> larger than <Prompt1>?": "no",
    "Is <Prompt1> larger than <Prompt0>?": "yes",
    "Is <Prompt0> nearer to the camera than <Prompt1>?": "yes",
    "Is <Prompt1> nearer to the camera than <Prompt0>?": "no",
    "Is <Prompt0> on top of <Prompt1>?": "no",
    "Is <Prompt1> on top of <Prompt0>?": "no",
    "Is <Prompt0> inside <Prompt1>?": "no",
    "Is <Prompt1> inside <Prompt0>?": "no",
    "Is <Prompt0> touching <Prompt1>?": "no",
    "Is <Prompt1> touching <Prompt0>?": "no",
    "Is <Prompt0> the same colour as <Prompt1>?": "no",
    "Is <Prompt1> the same colour as <Prompt0>?": "no",
    "Is <Prompt0> the same shape as <Prompt1>?": "no",
    "Is <Prompt1> the same shape as <Prompt0>?": "no",
    "Which is larger, <Prompt0> or <Prompt1>?": "<Prompt1>",
    "Which is larger, <Prompt1> or <Prompt0>?": "<Prompt1>",
    "Which is further left, <Prompt0> or <Prompt1>?": "<Prompt0>",
    "Which is further left, <Prompt1> or <Prompt0>?": "<Prompt0>",
    "Which is further right, <Prompt0> or <Prompt1>?": "<Prompt1>",
    "Which is further right, <Prompt1> or <Prompt0>?": "<Prompt1>",
    "Which is nearer to the camera, <Prompt0> or <Prompt1>?": "<Prompt0>",
    "Which is nearer to the camera, <Prompt1> or <Prompt0>?": "<Prompt0>",
}

IS_SOMETHING = {"is_colour", "is_shape", "is_size", "is_finish"}


@pytest.fixture(scope="module")
def truths(renderer: TabletopRenderer) -> list[SceneTruth]:
    scenes = [random_scene(1000 + seed) for seed in range(150)]
    return [scene_truth(scene, renderer.render(scene, depth=False).labels) for scene in scenes]


@pytest.fixture
def ball_and_box(renderer: TabletopRenderer) -> SceneTruth:
    box = thing("box", 0.1, 0.08, colour="blue")
    ball = thing("ball", -0.1, -0.05, size="small", finish="striped", dimensions=SMALL_BALL)
    return truth_of(renderer, box, ball)


def many(truth: SceneTruth, regions: tuple[int, ...], kinds: set[str] | None = None) -> list[Question]:
    """All that is asked about these regions in many draws."""
    return [
        question
        for seed in range(300)
        for question in questions_for(truth, regions, np.random.default_rng(seed), len(KINDS), kinds)
    ]


def test_every_answer_about_a_ball_and_a_box_is_right_and_every_question_comes_up(ball_and_box: SceneTruth) -> None:
    plain = set(KINDS) - {"multiple_choice", "word_choice", "can_see", "which_is", *IS_SOMETHING}
    asked = {question.text: question.answer for question in many(ball_and_box, (1, 0), plain)}
    assert asked == ABOUT_A_BALL_AND_A_BOX


def test_questions_with_a_word_in_them(ball_and_box: SceneTruth) -> None:
    words = {0: {"small", "red", "striped", "a ball"}, 1: {"large", "blue", "plain", "a box"}}
    for question in many(ball_and_box, (1, 0), IS_SOMETHING):
        number, word = int(question.text[len("Is <Prompt")]), question.text.split("> ")[1].rstrip("?")
        assert (question.answer == "yes") == (word in words[number]), question
    for question in many(ball_and_box, (1, 0), {"which_is"}):
        word = question.text.removeprefix("Which is ").split(",")[0]
        assert word in words[int(question.answer[len("<Prompt")])], question


def test_three_in_a_row(renderer: TabletopRenderer) -> None:
    row = [thing("mug", x, 0.0, colour=colour) for x, colour in ((-0.12, "red"), (0.0, "green"), (0.14, "red"))]
    kinds = {"between", "closest", "which_not", "further_left"}
    asked = {question.text: question.answer for question in many(truth_of(renderer, *row), (0, 1, 2), kinds)}
    assert asked["Is <Prompt1> between <Prompt0> and <Prompt2>?"] == "yes"
    assert asked["Is <Prompt0> between <Prompt1> and <Prompt2>?"] == "no"
    assert asked["Which is closest to <Prompt0>, <Prompt1> or <Prompt2>?"] == "<Prompt1>"
    assert asked["Which is not red, <Prompt0>, <Prompt1> or <Prompt2>?"] == "<Prompt1>"
    assert asked["Which is furthest left, <Prompt2>, <Prompt1> or <Prompt0>?"] == "<Prompt0>"
    # The middle is a little nearer to the left one: too close to call.
    assert "Which is closest to <Prompt1>, <Prompt0> or <Prompt2>?" not in asked


def test_options_are_worded_as_in_the_released_evaluation(ball_and_box: SceneTruth) -> None:
    for question in many(ball_and_box, (1, 0), {"multiple_choice"}):
        first, options, *lines, last = question.text.split("\n")
        assert (options, last) == ("Options:", "Answer with the correct option's letter directly.")
        assert [line[:3] for line in lines] == [f"{letter}. " for letter in question.choices]
        choices = {line[0]: line[3:] for line in lines}
        asked = first.removeprefix("Question: ")
        if asked in ABOUT_A_BALL_AND_A_BOX:
            assert choices[question.answer] == ABOUT_A_BALL_AND_A_BOX[asked]


def test_options_in_words_are_answered_by_their_words(ball_and_box: SceneTruth) -> None:
    for question in many(ball_and_box, (1, 0), {"word_choice"}):
        asked, options = question.text.split(" Answer with one of these: ")
        assert options == ", ".join(question.choices) + "."
        assert ABOUT_A_BALL_AND_A_BOX.get(asked, question.answer) == question.answer in question.choices


def test_what_hides_or_is_missing_is_not_visible(renderer: TabletopRenderer) -> None:
    wall = thing("box", 0.0, 0.0, dimensions=(0.2, 0.02, 0.15))
    hidden = truth_of(renderer, thing("ball", 0.0, 0.12, dimensions=SMALL_BALL, colour="red"), wall)
    assert hidden.pixels[0] == 0
    answers = {question.text: question.answer for question in many(hidden, (1,), {"can_see"})}
    assert answers == {
        "Can you see a red ball?": "not visible",
        f"Can you see a {wall.colour} box?": "yes",
    }
    alone = many(truth_of(renderer, wall), (0,), {"can_see"})
    missing = {question.text for question in alone if question.answer == "not visible"}
    assert len(missing) > 20 and f"Can you see a {wall.colour} box?" not in missing


def test_the_same_generator_asks_the_same(truths: list[SceneTruth]) -> None:
    one, two = (questions_for(truths[0], (0, 1, 2), np.random.default_rng(3), 6) for _ in range(2))
    assert one == two
    assert len(one) == 6


def test_only_the_wanted_kinds_with_enough_regions_are_asked(truths: list[SceneTruth]) -> None:
    rng = np.random.default_rng(0)
    assert {question.kind for question in many(truths[0], (0, 1), {"colour", "closest"})} == {"colour"}
    with pytest.raises(ValueError, match="weight"):
        questions_for(truths[0], (0,), rng, 1, {"weight"})


def test_what_cannot_be_seen_is_not_asked_about(renderer: TabletopRenderer) -> None:
    wall = thing("box", 0.0, 0.0, dimensions=(0.2, 0.02, 0.15))
    truth = truth_of(renderer, thing("ball", 0.0, 0.12, dimensions=SMALL_BALL), wall)
    questions = many(truth, (0, 1))
    assert questions
    assert not any("<Prompt0>" in question.text for question in questions)
    assert pick_regions(truth, 2, np.random.default_rng(0)) == ()
    assert pick_regions(truth, 1, np.random.default_rng(0)) == (1,)


def test_regions_are_different_and_can_be_asked_about(truths: list[SceneTruth]) -> None:
    rng = np.random.default_rng(0)
    for truth in truths[:50]:
        for count in (1, 2, 3):
            regions = pick_regions(truth, count, rng)
            assert len(set(regions)) == len(regions) in (0, count)
            assert truth.askable[list(regions)].all()


def test_yes_and_no_are_equally_frequent(truths: list[SceneTruth]) -> None:
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    rng = np.random.default_rng(0)
    for truth in truths:
        for count in (1, 2, 2, 3, 3, 4, 5) * 2:
            regions = pick_regions(truth, count, rng)
            for question in questions_for(truth, regions, rng, len(KINDS)) if regions else []:
                if question.choices == ("yes", "no"):
                    answers[question.kind][question.answer] += 1
    assert len(answers) == 16
    for kind, counts in answers.items():
        assert counts.total() > 200, f"{kind}: {counts}"
        assert 0.4 < counts["yes"] / counts.total() < 0.6, f"{kind}: {counts}"


def test_no_choice_is_likelier_than_others(truths: list[SceneTruth]) -> None:
    answers: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    rng = np.random.default_rng(1)
    for truth in truths:
        for count in (1, 2, 3, 4) * 2:
            regions = pick_regions(truth, count, rng)
            for question in questions_for(truth, regions, rng, len(KINDS)) if regions else []:
                word = question.kind in ("colour", "shape", "size", "finish")
                place = str(question.choices.index(question.answer)) if question.choices else ""
                answers[question.kind, len(question.choices)][question.answer if word else place] += 1
    often = {key: counts for key, counts in answers.items() if key[1] >= 2 and counts.total() >= 400}
    assert len(often) > 15
    for (kind, choices), counts in often.items():
        assert max(counts.values()) / counts.total() < 1.35 / choices, f"{kind} of {choices}: {counts}"
