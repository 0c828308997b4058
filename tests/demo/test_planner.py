# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from gar_ros.demo.planner import KINDS, draw_questions, failure, label_image, region_id, table_line
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Answer
from gar_ros.region import Region
from gar_ros.sim.generate import random_scene
from gar_ros.sim.question_kinds import KINDS as ALL_KINDS
from gar_ros.sim.questions import Question
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.truth import SceneTruth, scene_truth


@pytest.fixture(scope="module")
def truth() -> SceneTruth:
    scene = random_scene(2, (2, 2))
    with TabletopRenderer(320, 240) as renderer:
        return scene_truth(scene, renderer.render(scene, depth=False).labels)


def test_the_kinds_exist_and_have_choices() -> None:
    assert set(KINDS) <= set(ALL_KINDS) - {"caption"}


def test_questions_are_about_as_many_regions_as_asked_for(truth: SceneTruth) -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2):
        questions = draw_questions(truth, count, 2, rng)
        assert len(questions) == 2
        assert all(len(question.regions) == count and question.answer in question.choices for question in questions)


def test_fewer_regions_do_where_the_scene_has_no_more(truth: SceneTruth) -> None:
    (question,) = draw_questions(truth, 3, 1, np.random.default_rng(0))
    assert len(question.regions) == 2


def test_the_label_image_is_rebuilt_from_the_regions() -> None:
    labels = np.zeros((4, 6), np.uint8)
    labels[1:3, 1:4], labels[0, 5] = 2, 7
    regions = [Region.from_mask(region_id(index), labels == index + 1) for index in (1, 6)]
    assert (label_image(regions, (6, 4)) == labels).all()


def test_a_line_tells_question_answer_probability_truth_and_latency() -> None:
    question = Question("colour", "What colour is <Prompt0>?", (4,), ("red", "blue"), "blue")
    answer = Answer(text="red", region_ids=["5"], confidence=0.625)
    answer.latency.nanosec = 41_000_000
    line = table_line(3, question, answer)
    assert line.split() == ["3", "What", "colour", "is", "<Prompt0>?", "5", "red", "0.62", "blue", "wrong", "41", "ms"]


def test_a_failure_is_named() -> None:
    assert failure(GarError(ErrorCode.STALE_FRAME, "2.3 s old")) == "STALE_FRAME: 2.3 s old"
