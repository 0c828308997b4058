# SPDX-License-Identifier: Apache-2.0
"""Conversations with a running node."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from gar_ros.errors import ErrorCode
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, labelled_scene, refusal


def test_a_conversation_goes_on_about_its_image_and_regions(robot: Robot, gar: GarStarter) -> None:
    gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        first = robot.client.query("What is <Prompt0>?", ["7", "1"], max_tokens=3, dialogue="new")
        assert first.dialogue
        second = robot.client.query("And <Prompt1>?", choices=["yes", "no"], dialogue=first.dialogue)
        third = robot.client.query("Why?", max_tokens=2, dialogue=first.dialogue)
    assert second.header == third.header == first.header
    assert second.region_ids == ["7", "1"] and second.dialogue == third.dialogue == first.dialogue
    assert second.prompt_tokens < first.prompt_tokens / 3, "only what is new is read"
    assert (second.text in ("yes", "no"), third.generated_tokens) == (True, 2)


def test_conversations_stay_apart_and_are_bounded(robot: Robot, gar: GarStarter) -> None:
    gar(**{"dialogue.dialogues_kept": 2})
    with robot.publishing(labelled_scene), ThreadPoolExecutor(4) as planners:
        robot.client.wait_until_ready(PATIENCE)
        alone = robot.client.query("What is <Prompt0>?", ["1"], max_tokens=3, dialogue="new")
        then = robot.client.query("Why?", max_tokens=3, dialogue=alone.dialogue)
        stamp = alone.header.stamp
        one = robot.client.query("What is <Prompt0>?", ["1"], max_tokens=3, stamp=stamp, dialogue="new")
        other = robot.client.query("Is <Prompt0> red?", ["7"], max_tokens=3, stamp=stamp, dialogue="new")
        calls = [
            planners.submit(robot.client.query, "Why?", max_tokens=3, dialogue=name, timeout=PATIENCE)
            for name in (other.dialogue, one.dialogue)
        ]
        assert calls[1].result().text == then.text, "as if nobody else had talked"
        assert calls[0].result().region_ids == ["7"]
        code, message = refusal(lambda: robot.client.query("Why?", dialogue=alone.dialogue))
        assert code is ErrorCode.UNKNOWN_DIALOGUE and "2 are kept" in message


def test_what_a_conversation_can_not_do_is_refused_and_it_goes_on(robot: Robot, slow_gar: GarStarter) -> None:
    slow_gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        name = robot.client.query("What is <Prompt0>?", ["1"], max_tokens=1, dialogue="new").dialogue
        wrong = [
            lambda: robot.client.query("Why?", ["1"], dialogue=name),
            lambda: robot.client.query("Why?", ago=1.0, dialogue=name),
            lambda: robot.client.query(" ", dialogue=name),
        ]
        assert [refusal(call)[0] for call in wrong] == [ErrorCode.INVALID_REQUEST] * 3
        assert refusal(lambda: robot.client.query("Is <Prompt1>?", dialogue=name))[0] is ErrorCode.PROMPT_WITHOUT_REGION
        late = refusal(lambda: robot.client.query("Why?", max_tokens=1024, timeout=0.3, dialogue=name))
        assert late[0] is ErrorCode.TIMED_OUT
        assert robot.client.query("Why?", max_tokens=1, dialogue=name).generated_tokens == 1
