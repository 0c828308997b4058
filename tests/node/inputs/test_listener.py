# SPDX-License-Identifier: Apache-2.0
"""A subscription with a thread of its own, between two nodes of one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import Int32

from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.listener import Listener, ListenerGroup
from gar_ros.node.inputs.sequence import Gaps

PATIENCE = 60.0
TOPIC = "numbers"


class Numbers:
    """What a listener was told by a publisher of numbers."""

    def __init__(self, context: Context, lifetime: ExitStack, callback: Callable[[int], Any]) -> None:
        self.came: list[int] = []
        self.gaps, self._callback = Gaps(), callback
        self.node = GuardedNode("listens", context=context)
        lifetime.callback(self.node.destroy_node)
        self._publisher = self.node.create_publisher(Int32, TOPIC, 10)
        subscription = self.node.create_subscription(Int32, TOPIC, self._hear, 10, callback_group=ListenerGroup())
        self.listener = Listener(self.node, subscription, self.gaps)
        lifetime.callback(self.listener.close)

    def publish(self, *numbers: int) -> None:
        for number in numbers:
            self._publisher.publish(Int32(data=number))

    def _hear(self, message: Int32) -> None:
        self.came.append(message.data)
        self._callback(message.data)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_messages_come_in_their_order_and_without_an_executor(context: Context, lifetime: ExitStack) -> None:
    numbers = Numbers(context, lifetime, lambda number: None)
    numbers.publish(1, 2, 3)
    wait_until(lambda: len(numbers.came) == 3)
    assert numbers.came == [1, 2, 3]
    assert numbers.gaps.missing == 0


def test_an_executor_that_has_the_node_takes_none_of_them(context: Context, lifetime: ExitStack) -> None:
    threads: set[str] = set()
    numbers = Numbers(context, lifetime, lambda number: threads.add(threading.current_thread().name))
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(numbers.node)
    for number in range(20):
        numbers.publish(number)
        # Without waiting: an executor that waits for the subscription's events delays the listener.
        executor.spin_once(timeout_sec=0.0)
        time.sleep(0.01)
    wait_until(lambda: len(numbers.came) == 20)
    executor.shutdown()
    assert threads == {f"listener /{TOPIC}"}


def test_a_callback_that_fails_costs_its_message(context: Context, lifetime: ExitStack) -> None:
    def fail_at_two(number: int) -> None:
        if number == 2:
            raise SystemExit("as a library might")

    numbers = Numbers(context, lifetime, fail_at_two)
    numbers.publish(1, 2, 3)
    wait_until(lambda: len(numbers.came) == 3)
    assert numbers.came == [1, 2, 3]


def test_a_message_that_can_t_be_read_is_told_and_costs_itself(
    context: Context, lifetime: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = Numbers(context, lifetime, lambda number: None)
    take, unreadable = Listener._take, iter([True])

    def take_or_raise(listener: Any) -> None:
        if next(unreadable, False):
            take(listener)
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        take(listener)

    monkeypatch.setattr(Listener, "_take", take_or_raise)
    numbers.publish(1)
    wait_until(lambda: bool(numbers.node.doors.failing()))
    assert "invalid start byte" in numbers.node.doors.failing()[f"subscription /{TOPIC}"]
    numbers.publish(2)
    wait_until(lambda: 2 in numbers.came)
    wait_until(lambda: not numbers.node.doors.failing())


def test_close_waits_for_the_callback_and_ends_the_thread(context: Context, lifetime: ExitStack) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        begun.set()
        assert may_end.wait(PATIENCE)

    numbers = Numbers(context, lifetime, wait)
    numbers.publish(1)
    assert begun.wait(PATIENCE)
    closer = threading.Thread(target=numbers.listener.close)
    closer.start()
    assert closer.is_alive()
    may_end.set()
    closer.join(PATIENCE)
    assert not closer.is_alive()
    numbers.publish(2)
    assert numbers.came == [1]
    assert not [one for one in threading.enumerate() if one.name.startswith("listener")]


def test_a_message_that_was_overtaken_counts_as_lost(context: Context, lifetime: ExitStack) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def wait_at_one(number: int) -> None:
        if number == 1:
            begun.set()
            assert may_end.wait(PATIENCE)

    numbers = Numbers(context, lifetime, wait_at_one)
    numbers.publish(1)
    assert begun.wait(PATIENCE)
    numbers.publish(*range(2, 16))  # of 14 messages the queue of 10 keeps the newest
    may_end.set()
    wait_until(lambda: 15 in numbers.came)
    assert numbers.gaps.missing == 15 - len(numbers.came) > 0
