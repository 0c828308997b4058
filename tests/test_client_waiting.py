# SPDX-License-Identifier: Apache-2.0
"""Who spins the node while a call waits: any threads may call at once, and no call waits for itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import rclpy
from rclpy.callback_groups import CallbackGroup, MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup
from rclpy.executors import Executor, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node

from gar_ros.client import RegionClient
from gar_ros.client_asyncio import AsyncRegionClient
from gar_ros.errors import ErrorCode
from tests.recorder import Recorder, recording

PLANNERS = 24
CALLS: dict[str, Callable[[RegionClient], object]] = {
    "query": lambda client: client.query("What?"),
    "stream": lambda client: client.stream("What?"),
    "describe": lambda client: client.describe(),
    "scene_graph": lambda client: client.scene_graph(),
    "find": lambda client: client.find("red mug"),
    "list_regions": lambda client: client.list_regions(),
    "wait_until_ready": lambda client: client.wait_until_ready(30.0),
}


@pytest.fixture
def gar(ros_node: Node) -> Iterator[Recorder]:
    """What the client asks."""
    with recording() as recorder:
        yield recorder


@contextmanager
def spinning(executor: Executor, node: Node) -> Iterator[None]:
    """The executor spins the node in a thread of its own."""
    executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        executor.remove_node(node)


def outcome_in_callback(node: Node, ask: Callable[[], object], group: CallbackGroup | None = None) -> object:
    """What `ask` returns or raises in a timer's callback of the node."""
    outcome: list[object] = []
    done = threading.Event()

    def callback() -> None:
        timer.cancel()
        try:
            outcome.append(ask())
        except Exception as error:  # noqa: BLE001 it is the outcome
            outcome.append(error)
        done.set()

    timer = node.create_timer(0.01, callback, callback_group=group)
    assert done.wait(30.0)
    return outcome[0]


def ask_at_once(clients: list[RegionClient]) -> None:
    """Each client asks in a thread of its own, half of them by the action."""
    with ThreadPoolExecutor(len(clients)) as threads:
        calls = [
            threads.submit(client.stream if index % 2 else client.query, "What?")
            for index, client in enumerate(clients)
        ]
        for call in calls:
            call.result(60.0)


def test_threads_share_one_client_of_a_node_that_nobody_spins(ros_node: Node, gar: Recorder) -> None:
    ask_at_once([RegionClient(ros_node)] * PLANNERS)
    assert len(gar.received) == PLANNERS
    assert ros_node.executor is None, "the node is left as it was found"


def test_threads_have_clients_of_their_own_on_one_node(ros_node: Node, gar: Recorder) -> None:
    ask_at_once([RegionClient(ros_node) for _ in range(4)])
    assert len(gar.received) == 4


def test_threads_share_a_node_that_an_executor_spins(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)
    with spinning(SingleThreadedExecutor(), ros_node):
        ask_at_once([client] * PLANNERS)
    client.query("What?")  # nobody spins it any more
    assert len(gar.received) == PLANNERS + 1


def test_a_node_can_be_spun_between_calls(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)
    rclpy.spin_once(ros_node, timeout_sec=0.0)
    client.query("What?")
    rclpy.spin_once(ros_node, timeout_sec=0.0)
    client.query("What?")
    assert len(gar.received) == 2


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_would_wait_for_itself_is_refused_at_once(ros_node: Node, gar: Recorder, call: str) -> None:
    client = RegionClient(ros_node)
    with spinning(SingleThreadedExecutor(), ros_node):
        error = outcome_in_callback(ros_node, lambda: CALLS[call](client))
    assert isinstance(error, RuntimeError)
    assert "no other thread to take the reply" in str(error) and "MultiThreadedExecutor" in str(error)
    assert gar.received == []


def test_a_call_in_a_callback_of_rclpys_own_executor_is_refused_too(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)
    outcome: list[Exception] = []

    def ask() -> None:
        with pytest.raises(RuntimeError) as caught:
            client.query("What?")
        outcome.append(caught.value)

    ros_node.create_timer(0.01, ask)
    while not outcome:
        rclpy.spin_once(ros_node)
    assert gar.received == []


def test_on_token_may_not_ask(ros_node: Node, gar: Recorder) -> None:
    gar.feedback, gar.text = ["a", "a mug"], "a mug"
    client = RegionClient(ros_node)
    with pytest.raises(RuntimeError, match="no other thread"):
        client.stream("What?", on_token=lambda part: client.query(part))


@pytest.mark.parametrize("group", [MutuallyExclusiveCallbackGroup, ReentrantCallbackGroup])
def test_a_callback_may_ask_where_another_thread_takes_the_reply(
    ros_node: Node, gar: Recorder, group: Callable[[], CallbackGroup]
) -> None:
    client = RegionClient(ros_node)
    with spinning(MultiThreadedExecutor(3), ros_node):
        assert not isinstance(outcome_in_callback(ros_node, lambda: client.query("What?"), group()), Exception)
        assert not isinstance(outcome_in_callback(ros_node, lambda: client.stream("What?"), group()), Exception)


def test_a_callback_may_not_ask_in_the_last_thread(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)
    with pytest.warns(UserWarning, match="single thread"), spinning(MultiThreadedExecutor(1), ros_node):
        error = outcome_in_callback(ros_node, lambda: client.query("What?"))
    assert isinstance(error, RuntimeError) and "all threads of the node's executor (1) wait" in str(error)


def test_a_callback_of_another_node_may_ask(ros_node: Node, gar: Recorder) -> None:
    planner = rclpy.create_node("planner")
    client = RegionClient(planner)
    with spinning(SingleThreadedExecutor(), ros_node):
        assert not isinstance(outcome_in_callback(ros_node, lambda: client.query("What?")), Exception)
    planner.destroy_node()


async def ask_asynchronously(node: Node, times: int) -> int:
    async with AsyncRegionClient(node) as client:
        return len(await asyncio.gather(*(client.query("What?", timeout=20.0) for _ in range(times))))


def test_an_asyncio_client_works_on_a_node_that_was_spun_before(ros_node: Node, gar: Recorder) -> None:
    rclpy.spin_once(ros_node, timeout_sec=0.0)
    assert asyncio.run(ask_asynchronously(ros_node, 1)) == 1
    with spinning(SingleThreadedExecutor(), ros_node):
        assert asyncio.run(ask_asynchronously(ros_node, 1)) == 1
    assert asyncio.run(ask_asynchronously(ros_node, PLANNERS)) == PLANNERS
    RegionClient(ros_node).query("What?")


def test_a_loop_that_spins_the_node_is_not_blocked(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)

    async def program() -> None:
        executor = SingleThreadedExecutor()
        executor.add_node(ros_node)
        with pytest.raises(RuntimeError, match="AsyncRegionClient"):
            client.query("What?")
        executor.remove_node(ros_node)

    asyncio.run(program())
    assert gar.reply == ErrorCode.OK and gar.received == []
