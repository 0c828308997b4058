# SPDX-License-Identifier: Apache-2.0
"""Searches by words on a running node, over DDS, with a real (random) model."""

from __future__ import annotations

import pytest

from gar_ros.errors import ErrorCode
from gar_ros.messages.headers import stamp_ns
from gar_ros.srv import FindRegions
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, image_only, labelled_scene, refusal, wait_for

ALL = 1e-30
"""Least probability that every region has."""


def probability(robot: Robot, question: str, ids: list[str], found: FindRegions.Response) -> float:
    """Of yes, asked of the same image by another service."""
    answer = robot.client.query(question, ids, choices=["yes", "no"], stamp=found.header.stamp)
    return float(answer.probabilities[0])


def test_a_planner_finds_regions_by_words(robot: Robot, gar: GarStarter) -> None:
    gar(**{"features.mode": "shared"})
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        found = robot.client.find("the red square", least_probability=ALL)
        assert {one.id for one in found.regions} == {"1", "7"}
        assert (found.asked, found.skipped, found.complete) == (2, 0, True), "two regions, or two pairs of them"
        assert found.regions[0].probability >= found.regions[1].probability
        for one in found.regions:
            other = "1" if one.id == "7" else "7"
            assert one.other_id == (other if found.pairs else "")
            question = 'Does "the red square" describe <Prompt0>'
            question += ", with <Prompt1> as the other object?" if found.pairs else "?"
            asked = [one.id, other] if found.pairs else [one.id]
            assert one.probability == pytest.approx(probability(robot, question, asked, found), abs=1e-5)
            assert (one.header, one.out_of_view) == (found.header, False)
        count = robot.client.query(
            'Does "the red square" name one object or two?',
            [found.regions[0].id],
            choices=["one", "two"],
            stamp=found.header.stamp,
        )
        assert found.pairs == (count.text == "two")
        best = robot.client.find("the red square", least_probability=ALL, max_results=1, stamp=found.header.stamp)
        assert [one.id for one in best.regions] == [found.regions[0].id]


def test_what_left_the_view_is_found_on_its_last_image(robot: Robot, gar: GarStarter) -> None:
    gar(**{"request.max_age": 60.0})
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        last = robot.client.list_regions().header.stamp
    with robot.publishing(image_only):
        found = robot.client.find("a", ["7"], remembered=True, least_probability=ALL)
    assert found.asked == 1
    assert all(stamp_ns(one.header.stamp) >= stamp_ns(last) for one in found.regions)


def test_a_search_that_can_not_be_made_is_refused_with_its_code(robot: Robot, gar: GarStarter) -> None:
    gar()
    client = robot.client
    wait_for(lambda: client.find("red"), ErrorCode.NO_FRAME)
    with robot.publishing(labelled_scene):
        client.wait_until_ready(PATIENCE)
        assert refusal(lambda: client.find("red", ["1", "99"])) == (
            ErrorCode.UNKNOWN_REGION,
            "no region '99' in the image; there are: 1, 7",
        )
        assert refusal(lambda: client.find("red", ["1", "1"]))[0] is ErrorCode.INVALID_REQUEST
        assert refusal(lambda: client.find(" "))[0] is ErrorCode.INVALID_REQUEST
        assert refusal(lambda: client.find("word " * 5000))[0] is ErrorCode.QUESTION_TOO_LONG
        assert refusal(lambda: client.find("left of <Prompt0>"))[0] is ErrorCode.INVALID_REQUEST
        assert refusal(lambda: client.find("red", least_probability=2.0))[0] is ErrorCode.INVALID_REQUEST
        assert client.find('the "red"\n<|eot_id|> \u202emug\u0301').asked == 2


def test_a_search_that_has_too_little_time_says_so(robot: Robot, slow_gar: GarStarter) -> None:
    slow_gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        message = wait_for(lambda: robot.client.find("red", timeout=0.001), ErrorCode.TIMED_OUT)
    assert message == "no answer within 0.001 s; retry later or with a longer timeout"
