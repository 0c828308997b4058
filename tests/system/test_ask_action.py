# SPDX-License-Identifier: Apache-2.0
"""The action of a running node: partial text, cancelling, deadlines, planners that die."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition

from gar_ros.action import AskRegions
from gar_ros.client_asyncio import AsyncRegionClient
from gar_ros.client_calls import REPLIES_KEPT
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Answer, Question
from gar_ros.rclpy_compat import ThreadSafeActionClient
from tests.processes import StartProcess
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, labelled_scene, refusal, wait_until

QUESTION = "What is <Prompt0>?"
LONG = 1024  # tokens

PLANNER = """
import rclpy
from gar_ros.client import RegionClient
rclpy.init()
node = rclpy.create_node("mortal")
client = RegionClient(node)
client.wait_until_ready(100.0)
client.stream("What is <Prompt0>?", ["1"], lambda _: print("heard", flush=True), max_tokens=1024, timeout=600.0)
"""


def test_the_text_comes_in_parts_and_then_as_a_whole(robot: Robot, gar: GarStarter) -> None:
    gar()
    parts: list[str] = []
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        answer = robot.client.stream(QUESTION, ["1"], parts.append, max_tokens=12, timeout=PATIENCE)
        again = robot.client.query(QUESTION, ["1"], max_tokens=12, stamp=answer.header.stamp)
    assert answer.text == again.text and answer.generated_tokens == 12
    assert "".join(parts) == answer.text


def test_a_closed_question_has_its_choice_without_partial_text(robot: Robot, gar: GarStarter) -> None:
    gar()
    parts: list[str] = []
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        answer = robot.client.stream(QUESTION, ["1"], parts.append, choices=["yes", "no"], timeout=PATIENCE)
    assert answer.text in ("yes", "no") and parts == []


def test_refusals_come_as_results(robot: Robot, slow_gar: GarStarter) -> None:
    slow_gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        assert refusal(lambda: robot.client.stream(QUESTION, ["99"]))[0] is ErrorCode.UNKNOWN_REGION
        assert refusal(lambda: robot.client.stream("", ["1"]))[0] is ErrorCode.INVALID_REQUEST
        late = refusal(lambda: robot.client.stream(QUESTION, ["1"], max_tokens=LONG, timeout=0.5))
        assert late[0] is ErrorCode.TIMED_OUT


def test_a_cancelled_goal_ends_between_two_tokens_and_frees_the_model(robot: Robot, slow_gar: GarStarter) -> None:
    slow_gar()
    cancel = threading.Event()
    with robot.publishing(labelled_scene), ThreadPoolExecutor(1) as planner:
        robot.client.wait_until_ready(PATIENCE)
        call = planner.submit(
            robot.client.stream, QUESTION, ["1"], lambda _: cancel.set(), cancel, max_tokens=LONG, timeout=PATIENCE
        )
        error = call.exception(PATIENCE)
        assert isinstance(error, GarError) and error.code is ErrorCode.CANCELLED
        assert error.message == "the goal was cancelled"
        assert robot.client.query(QUESTION, ["1"], max_tokens=1).generated_tokens == 1


def test_deactivating_ends_a_goal_with_one_result(robot: Robot, slow_gar: GarStarter) -> None:
    slow_gar()
    heard = threading.Event()
    with robot.publishing(labelled_scene), ThreadPoolExecutor(1) as planner:
        robot.client.wait_until_ready(PATIENCE)
        call = planner.submit(
            robot.client.stream, QUESTION, ["1"], lambda _: heard.set(), max_tokens=LONG, timeout=PATIENCE
        )
        assert heard.wait(PATIENCE)
        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        error = call.exception(PATIENCE)
        assert isinstance(error, GarError) and error.code is ErrorCode.CANCELLED
        assert refusal(lambda: robot.client.stream(QUESTION, ["1"]))[0] is ErrorCode.NOT_ACTIVE


def action_client(robot: Robot) -> ThreadSafeActionClient:
    """One that hears the node: DDS can drop replies to a client that the node has only just discovered."""
    client = ThreadSafeActionClient(
        robot.node,
        AskRegions,
        "gar/ask_regions",
        goal_service_qos_profile=REPLIES_KEPT,
        result_service_qos_profile=REPLIES_KEPT,
    )

    def is_heard() -> bool:
        replied = threading.Event()
        client.send_goal_async(AskRegions.Goal()).add_done_callback(lambda _: replied.set())  # without a question
        return replied.wait(1.0)

    wait_until(is_heard, lambda: "a reply of ask_regions")
    return client


def test_every_goal_gets_its_result_before_the_process_ends(robot: Robot, slow_gar: GarStarter) -> None:
    node = slow_gar(**{"request.queue_size": 4})
    client = action_client(robot)
    goal = AskRegions.Goal(question=Question(text=QUESTION, region_ids=["1"], max_tokens=LONG, timeout=PATIENCE))
    heard = threading.Event()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        told = {"feedback_callback": lambda _: heard.set()}
        sent: list[Any] = [client.send_goal_async(goal, **told) for _ in range(4)]
        wait_until(lambda: all(one.done() for one in sent), lambda: "four goals are accepted")
        assert heard.wait(PATIENCE), "one of them is answered, the others wait"
        results = [one.result().get_result_async() for one in sent]
        assert node.interrupt(PATIENCE) == 0
        wait_until(lambda: all(result.done() for result in results), lambda: "every goal has its result")
    codes = [ErrorCode(result.result().result.error_code) for result in results]
    # A goal that was accepted and hadn't begun when the signal came isn't served any more.
    assert ErrorCode.CANCELLED in codes and set(codes) <= {ErrorCode.CANCELLED, ErrorCode.NOT_ACTIVE}
    assert "Traceback" not in node.log


def test_goals_that_come_while_the_process_ends_are_refused_or_get_a_result(robot: Robot, slow_gar: GarStarter) -> None:
    node = slow_gar()
    client = action_client(robot)
    goal = AskRegions.Goal(question=Question(text=QUESTION, region_ids=["1"], max_tokens=LONG, timeout=PATIENCE))
    results: list[Any] = []

    def fetch(sent: Any) -> None:
        if sent.result().accepted:
            results.append(sent.result().get_result_async())

    ended = threading.Event()

    def insist() -> None:
        while not ended.wait(0.01):
            client.send_goal_async(goal).add_done_callback(fetch)

    with robot.publishing(labelled_scene), ThreadPoolExecutor(1) as planner:
        robot.client.wait_until_ready(PATIENCE)
        insisting = planner.submit(insist)
        wait_until(lambda: len(results) > 20, lambda: "goals are accepted")
        assert node.interrupt(PATIENCE) == 0
        ended.set()
        insisting.result(PATIENCE)
        wait_until(lambda: all(result.done() for result in results), lambda: "every accepted goal has its result")
    codes = {ErrorCode(result.result().result.error_code) for result in results}
    assert codes <= {ErrorCode.CANCELLED, ErrorCode.QUEUE_FULL, ErrorCode.NOT_ACTIVE} and ErrorCode.CANCELLED in codes
    assert "Traceback" not in node.log


def test_a_client_that_never_asks_for_its_result_does_not_hold_the_process(robot: Robot, slow_gar: GarStarter) -> None:
    node = slow_gar()
    client = action_client(robot)
    goal = AskRegions.Goal(question=Question(text=QUESTION, region_ids=["1"], max_tokens=LONG, timeout=PATIENCE))
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        sent: Any = client.send_goal_async(goal)
        wait_until(sent.done)
        assert sent.result().accepted
        assert node.interrupt(PATIENCE) == 0


def test_a_planner_that_dies_takes_nothing_with_it(
    robot: Robot, slow_gar: GarStarter, start_process: StartProcess
) -> None:
    node = slow_gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        planner = start_process(sys.executable, "-c", PLANNER)
        planner.wait_for_log("heard", PATIENCE)
        planner.kill()

        def is_free() -> bool:
            try:
                return bool(robot.client.query(QUESTION, ["1"], max_tokens=1, timeout=5.0).generated_tokens == 1)
            except GarError:
                return False

        wait_until(is_free, lambda: "the model is free again")
    assert node.is_running()


def test_asyncio_programs_ask_without_blocking_their_loop(robot: Robot, gar: GarStarter) -> None:
    gar()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def program() -> tuple[list[str | Answer], Answer]:
        node = rclpy.create_node("asyncio_planner")
        ticking = asyncio.ensure_future(tick())
        async with AsyncRegionClient(node) as client:
            await client.wait_until_ready(PATIENCE)
            before = ticks
            parts = [part async for part in client.stream(QUESTION, ["1"], max_tokens=8, timeout=PATIENCE)]
            answer = await client.query(QUESTION, ["1"], choices=["yes", "no"], timeout=PATIENCE)
            assert ticks > before
        ticking.cancel()
        node.destroy_node()
        return parts, answer

    with robot.publishing(labelled_scene):
        parts, answer = asyncio.run(program())
    assert isinstance(parts[-1], Answer) and parts[-1].generated_tokens == 8
    assert "".join(str(part) for part in parts[:-1]) == parts[-1].text
    assert answer.text in ("yes", "no")
