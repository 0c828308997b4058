# SPDX-License-Identifier: Apache-2.0
"""Watches of a running node: told of the moment, cancelled, lost, deserted, too many of them."""

from __future__ import annotations

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from numpy.typing import NDArray
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from gar_ros.action import WatchRegions
from gar_ros.client_asyncio import AsyncRegionClient
from gar_ros.client_calls import REPLIES_KEPT
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import image_message
from gar_ros.msg import Answer
from gar_ros.rclpy_compat import ThreadSafeActionClient
from tests.processes import StartProcess
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labels_of, picture, refusal, wait_until

COLOURS = {"red": (200, 30, 30), "green": (30, 160, 60)}
NEVER = 1.0
"""A probability that is waited for in vain."""
GREEN = "Is <Prompt0> green?"

PLANNER = """
import rclpy
from gar_ros.client import RegionClient
rclpy.init()
node = rclpy.create_node("mortal")
client = RegionClient(node)
client.wait_until_ready(100.0)
client.watch("Is <Prompt0> green?", ["1"], lambda _: print("heard", flush=True), least_probability=1.0, timeout=600.0)
"""


class Scene:
    """The robot's usual picture; the square of label 1 gets another colour on demand."""

    def __init__(self) -> None:
        self.colour, self.hidden = "red", False
        self.changed_ns = 0
        """Stamp of the first image with the present colour."""
        self._shown = "red"

    def __call__(self, header: Header) -> list[tuple[str, Any]]:
        image: NDArray[np.uint8] = picture()
        labels = labels_of(image)
        if self.colour != self._shown:
            self._shown, self.changed_ns = self.colour, stamp_ns(header.stamp)
        image[labels == 1] = COLOURS[self._shown]
        if self.hidden:
            labels[labels == 1] = 0
        return [
            ("image", image_message(image, "rgb8", header)),
            ("instances", image_message(labels, "mono8", header)),
        ]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_is_told_of_the_moment_and_not_before(robot: Robot, gar: GarStarter, scene: Scene) -> None:
    gar(model=default_model_dir())
    looks: list[WatchRegions.Feedback] = []
    with robot.publishing(scene), ThreadPoolExecutor(1) as planner:
        robot.client.wait_until_ready(PATIENCE)
        call = planner.submit(robot.client.watch, GREEN, ["1"], looks.append, timeout=PATIENCE)
        wait_until(lambda: len(looks) > 3, lambda: "some looks")
        scene.colour = "green"
        answer = call.result(PATIENCE)
        told_ns = robot.node.get_clock().now().nanoseconds
    assert answer.text == "yes"
    assert not any(look.holds for look in looks if stamp_ns(look.stamp) < scene.changed_ns)
    late = (stamp_ns(answer.header.stamp) - scene.changed_ns) / 1e9
    assert 0.0 <= late <= 1.0, "by stamps"
    assert (told_ns - scene.changed_ns) / 1e9 < PATIENCE


def test_a_watch_is_cancelled(robot: Robot, gar: GarStarter, scene: Scene) -> None:
    gar()
    cancel = threading.Event()
    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        code, message = refusal(
            lambda: robot.client.watch(
                GREEN, ["1"], lambda _: cancel.set(), cancel, timeout=PATIENCE, least_probability=NEVER
            )
        )
    assert (code, message) == (ErrorCode.CANCELLED, "the goal was cancelled")


def test_refusals_deadlines_and_lost_regions(robot: Robot, gar: GarStarter, scene: Scene) -> None:
    gar(**{"tracking.lost_after": 0.5})
    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        assert refusal(lambda: robot.client.watch(GREEN, ["99"]))[0] is ErrorCode.UNKNOWN_REGION
        assert refusal(lambda: robot.client.watch(GREEN, ["1"], expected="x"))[0] is ErrorCode.INVALID_REQUEST
        late = refusal(lambda: robot.client.watch(GREEN, ["1"], timeout=0.5, least_probability=NEVER))
        assert late[0] is ErrorCode.TIMED_OUT
        assert "expected 'yes' with at least 1 within 0.5 s" in late[1]

        def hide(_: WatchRegions.Feedback) -> None:
            scene.hidden = True

        lost = refusal(lambda: robot.client.watch(GREEN, ["1"], hide, timeout=PATIENCE, least_probability=NEVER))
        assert lost[0] is ErrorCode.UNKNOWN_REGION
        assert "region '1' is lost" in lost[1]


def test_regions_are_found_by_words(robot: Robot, gar: GarStarter, scene: Scene) -> None:
    gar(model=default_model_dir())
    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        answer = robot.client.watch(GREEN, words=["something red"], least_probability=1e-30, timeout=PATIENCE)
        assert answer.region_ids == ["1"]
        assert refusal(lambda: robot.client.watch(GREEN, words=["<Prompt0>"]))[0] is ErrorCode.INVALID_REQUEST


def test_deactivating_ends_a_watch_with_one_result(robot: Robot, gar: GarStarter, scene: Scene) -> None:
    gar()
    heard = threading.Event()
    with robot.publishing(scene), ThreadPoolExecutor(1) as planner:
        robot.client.wait_until_ready(PATIENCE)
        call = planner.submit(
            robot.client.watch, GREEN, ["1"], lambda _: heard.set(), timeout=PATIENCE, least_probability=NEVER
        )
        assert heard.wait(PATIENCE)
        assert robot.transition(Transition.TRANSITION_DEACTIVATE)
        error = call.exception(PATIENCE)
        assert isinstance(error, GarError)
        assert error.code is ErrorCode.CANCELLED
        assert refusal(lambda: robot.client.watch(GREEN, ["1"]))[0] is ErrorCode.NOT_ACTIVE


def test_a_hundred_watches_and_a_question_beside_them(robot: Robot, gar: GarStarter, scene: Scene) -> None:
    node = gar(**{"watch.most": 90})
    client = ThreadSafeActionClient(
        robot.node, WatchRegions, "gar/watch_regions",
        goal_service_qos_profile=REPLIES_KEPT, result_service_qos_profile=REPLIES_KEPT,
    )  # fmt: skip
    goal = WatchRegions.Goal(text=GREEN, region_ids=["1"], least_probability=NEVER, timeout=PATIENCE)
    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        with pytest.raises(GarError):
            robot.client.watch(GREEN, ["1"], timeout=0.1, least_probability=NEVER)  # the action is heard
        sent: list[Any] = [client.send_goal_async(goal) for _ in range(100)]
        wait_until(lambda: all(one.done() for one in sent), lambda: "all are accepted")
        results = [one.result().get_result_async() for one in sent]
        wait_until(lambda: sum(one.done() for one in results) >= 10, lambda: "ten are refused")
        assert robot.client.query(GREEN, ["1"], choices=["yes", "no"]).text in ("yes", "no")
        assert node.interrupt(PATIENCE) == 0
        wait_until(lambda: all(one.done() for one in results), lambda: "every goal has its result")
    codes = [ErrorCode(one.result().result.error_code) for one in results]
    assert (codes.count(ErrorCode.QUEUE_FULL), codes.count(ErrorCode.CANCELLED)) == (10, 90)
    assert "Traceback" not in node.log


@pytest.mark.parametrize("at_once", [False, True])
def test_a_planner_that_leaves_leaves_no_watch_behind(
    robot: Robot, gar: GarStarter, scene: Scene, start_process: StartProcess, at_once: bool
) -> None:
    gar()
    diagnostics = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=1))

    def watches() -> str:
        return next(one.value for one in diagnostics.wait().status[0].values if one.key == "watches")

    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        robot.watch_no_more()  # it would listen, and the node can't tell who began a watch
        planner = start_process(sys.executable, "-c", PLANNER)
        planner.wait_for_log("heard", PATIENCE)
        if not at_once:
            wait_until(lambda: watches() == "1", lambda: "a watch")
        planner.interrupt(PATIENCE)  # one that is killed is listed by DDS for 20 s
        watches()  # may be from before
        wait_until(lambda: watches() == "0", lambda: "no watch")


def test_asyncio_programs_watch_without_blocking_their_loop(robot: Robot, gar: GarStarter, scene: Scene) -> None:
    gar(model=default_model_dir())

    async def program() -> list[WatchRegions.Feedback | Answer]:
        node = rclpy.create_node("asyncio_planner")
        parts: list[WatchRegions.Feedback | Answer] = []
        async with AsyncRegionClient(node) as client:
            await client.wait_until_ready(PATIENCE)
            async for part in client.watch(GREEN, ["1"], timeout=PATIENCE):
                parts.append(part)
                scene.colour = "green"
        node.destroy_node()
        return parts

    with robot.publishing(scene):
        *looks, answer = asyncio.run(program())
    assert isinstance(answer, Answer)
    assert answer.text == "yes"
    assert looks
    assert all(isinstance(look, WatchRegions.Feedback) for look in looks)
