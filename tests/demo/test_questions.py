# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from gar_ros.demo.asker import label_image
from gar_ros.demo.judge import Fact
from gar_ros.demo.questions import ATTRIBUTES, COMPARISONS, draw_question, holding_questions
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region
from gar_ros.sim.question_kinds import KINDS
from gar_ros.sim.questions import Question
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.timeline import Timeline
from gar_ros.sim.truth import SceneTruth, scene_truth

SEED = 33  # 4 on top of the mug 3, 8 on top of 7


@pytest.fixture(scope="module")
def seen() -> tuple[SceneTruth, list[Region]]:
    """The table of a seed with its regions."""
    scene = Timeline(SEED).at(0)
    with TabletopRenderer(640, 480) as renderer:
        labels = renderer.render(scene, depth=False).labels
    regions = [Region.from_mask(str(label), labels == label) for label in np.unique(labels[labels > 0])]
    return scene_truth(scene, labels), regions


def asked_and_found(truth: SceneTruth, regions: list[Region], wrong: str = "") -> tuple[list[Question], list[Fact]]:
    """All questions with the facts found when each is answered by the truth; those of the kind `wrong` by the other."""
    asking, questions = holding_questions(truth, regions), []
    try:
        question = next(asking)
        while True:
            questions.append(question)
            (other,) = set(question.choices) - {question.answer}
            question = asking.send(other if question.kind == wrong else question.answer)
    except StopIteration as done:
        return questions, done.value


def test_right_answers_find_what_lies_on_what(seen: tuple[SceneTruth, list[Region]]) -> None:
    _, found = asked_and_found(*seen)
    assert {(fact.subject, fact.predicate, fact.object) for fact in found} == {
        ("4", "on top of", "3"),
        ("8", "on top of", "7"),
    }


def test_only_a_bowl_is_asked_what_is_inside(seen: tuple[SceneTruth, list[Region]]) -> None:
    questions, _ = asked_and_found(*seen)
    bowls = {question.regions[0] for question in questions if question.kind == "is_shape" and question.answer == "yes"}
    assert {question.regions[1] for question in questions if question.kind == "inside"} <= bowls
    questions, _ = asked_and_found(*seen, wrong="is_shape")  # now everything else is called a bowl
    assert {question.kind for question in questions if question.regions[-1] not in bowls} == {"is_shape", "inside"}


def test_no_question_is_asked_twice(seen: tuple[SceneTruth, list[Region]]) -> None:
    questions, _ = asked_and_found(*seen)
    about = [(question.kind, question.regions) for question in questions]
    assert len(about) == len(set(about)) > 4


def test_regions_apart_are_not_asked_about(seen: tuple[SceneTruth, list[Region]]) -> None:
    truth, _ = seen
    columns = [np.zeros((4, 9), bool) for _ in range(3)]
    for number, mask in enumerate(columns):
        mask[:, 3 * number : 3 * number + 2] = True
    apart = [Region.from_mask(str(number), mask) for number, mask in enumerate(columns, 1)]
    assert asked_and_found(truth, apart) == ([], [])


def test_the_kinds_exist_and_have_choices() -> None:
    assert {*ATTRIBUTES, *COMPARISONS} <= set(KINDS) - {"caption", "what_is"}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_question_is_about_as_many_regions_as_asked_for(seen: tuple[SceneTruth, list[Region]], count: int) -> None:
    question = draw_question(seen[0], count, COMPARISONS if count > 1 else ATTRIBUTES, np.random.default_rng(0))
    assert len(question.regions) == count and question.answer in question.choices


def test_kinds_come_again_only_when_all_were_used(seen: tuple[SceneTruth, list[Region]]) -> None:
    rng, used = np.random.default_rng(0), list[str]()
    for _ in range(2 * len(ATTRIBUTES)):
        used.append(draw_question(seen[0], 1, ATTRIBUTES, rng, used).kind)
    assert set(used[: len(ATTRIBUTES)]) == set(ATTRIBUTES)


def test_where_nothing_can_be_seen_there_is_no_question() -> None:
    scene = Timeline(SEED).at(0)
    nothing = scene_truth(scene, np.zeros((48, 64), np.uint8))
    with pytest.raises(GarError, match="seen well enough") as caught:
        draw_question(nothing, 2, COMPARISONS, np.random.default_rng(0))
    assert caught.value.code is ErrorCode.UNKNOWN_REGION


def test_the_label_image_is_rebuilt_from_the_regions() -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[1:3, 1:4], labels[0, 5] = 2, 7
    regions = [Region.from_mask(name, labels == value) for name, value in (("2", 2), ("7#3", 7))]
    assert (label_image(regions, (6, 4)) == labels).all()
