# SPDX-License-Identifier: Apache-2.0
"""A node that is killed and started again, and two nodes of one name, as their planners see them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile

from gar_ros.errors import ErrorCode, GarError
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labelled_scene, refusal, wait_until

QUESTION = "What is <Prompt0>?"


def test_a_question_outlives_its_node_and_a_dialogue_does_not(robot: Robot, gar: GarStarter) -> None:
    first = gar(**{"request.max_age": PATIENCE})
    client = robot.client
    with robot.publishing(labelled_scene), ThreadPoolExecutor(4) as planner:
        client.wait_until_ready(PATIENCE)
        dialogue = client.query(QUESTION, ["1"], max_tokens=1, dialogue="new").dialogue
        first.kill()  # DDS lists it for 20 s more
        asked = [
            planner.submit(client.query, QUESTION, max_tokens=1, timeout=PATIENCE, region_ids=[]),
            planner.submit(client.stream, QUESTION, max_tokens=1, timeout=PATIENCE, region_ids=[]),
        ]
        turn = planner.submit(client.query, "Sure?", max_tokens=1, timeout=PATIENCE, dialogue=dialogue)
        gar(**{"request.max_age": PATIENCE})
        for question in asked:  # the new node may not have an image yet
            error = question.exception(PATIENCE)
            assert error is None or (isinstance(error, GarError) and error.code is not ErrorCode.TIMED_OUT)
        lost = turn.exception(PATIENCE)
        assert isinstance(lost, GarError) and lost.code is ErrorCode.UNKNOWN_DIALOGUE
        assert "dialogues don't outlive their node" in lost.message
        client.wait_until_ready(PATIENCE)
        assert client.query(QUESTION, ["1"], max_tokens=1).generated_tokens == 1


def test_the_first_question_to_a_node_that_was_restarted_is_answered(robot: Robot, gar: GarStarter) -> None:
    first = gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        robot.client.query(QUESTION, ["1"], max_tokens=1)
        first.kill()
        gar().wait_for_log("activate: done", PATIENCE)
        code, message = ErrorCode.NO_FRAME, "not asked"
        while code in (ErrorCode.NO_FRAME, ErrorCode.NOT_ACTIVE):
            try:
                robot.client.query(QUESTION, ["1"], max_tokens=1, timeout=PATIENCE)
            except GarError as error:  # never for want of a reply
                code, message = error.code, error.message
            else:
                return
        raise AssertionError(message)


def test_two_nodes_of_one_name_are_told_where_it_matters(robot: Robot, gar: GarStarter) -> None:
    with robot.publishing(labelled_scene):
        gar(**{"diagnostics.rate": 10.0})
        second = gar(**{"diagnostics.rate": 10.0})  # both begin at the same time
        robot.client.wait_until_ready(PATIENCE)

        def status(level: bytes, text: str) -> bool:
            (one,) = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=1)).wait().status
            return bool(one.level == level and text in one.message)

        told = "another node is called /gar too"
        wait_until(lambda: status(DiagnosticStatus.WARN, told), lambda: "the diagnostics warn")
        code, message = refusal(lambda: robot.client.query("Sure?", dialogue="17"))
        assert code is ErrorCode.UNKNOWN_DIALOGUE and told in message
        assert second.interrupt(PATIENCE) == 0
        wait_until(lambda: status(DiagnosticStatus.OK, "serving"), lambda: "it is all right again")
        code, message = refusal(lambda: robot.client.query("Sure?", dialogue="17"))
        assert code is ErrorCode.UNKNOWN_DIALOGUE and told not in message
