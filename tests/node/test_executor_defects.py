# SPDX-License-Identifier: Apache-2.0
"""What goes wrong outside of callbacks, where no door is, doesn't end the executor either."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.subscription import Subscription
from std_msgs.msg import Int32

from gar_ros.node.executor import Executor

PATIENCE = 60.0


@pytest.fixture
def defects(ros_domain: int) -> Iterator[list[Exception]]:
    rclpy.init()
    yield []
    rclpy.shutdown()


def test_a_task_that_fails_is_told_and_the_next_one_runs(defects: list[Exception]) -> None:
    executor, done = Executor(1, defects.append), threading.Event()
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    for number in range(3):
        executor.create_task({}.__getitem__, number)
    executor.create_task(done.set)
    assert done.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while len(set(map(str, defects))) < 3 and time.monotonic() < deadline:
        executor.create_task(lambda: None)  # rclpy looks at those that are done when it has another one
        time.sleep(0.01)
    executor.shutdown()
    spinner.join()
    assert {repr(defect) for defect in defects} == {"KeyError(0)", "KeyError(1)", "KeyError(2)"}


def test_an_executor_that_can_only_fail_ends(defects: list[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Executor(1, defects.append)

    def fail(timeout: float | None = None) -> None:
        raise RuntimeError("no wait set")

    monkeypatch.setattr(executor, "spin_once", fail)
    with pytest.raises(RuntimeError, match="no wait set"):
        executor.spin()
    assert len(defects) > 100
    executor.shutdown()


def test_a_message_that_can_t_be_read_costs_only_itself(
    defects: list[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    node, executor = rclpy.create_node("reader"), Executor(1, defects.append)
    numbers: list[Any] = []
    node.create_subscription(Int32, "numbers", numbers.append, 10)
    publisher = node.create_publisher(Int32, "numbers", 10)
    take, unreadable = Executor.read, iter([True, True])

    def read(self: Executor, take_from_wait_list: Any, entity: Any) -> Any:
        def unreadable_at_first(one: Any) -> Any:
            if isinstance(one, Subscription) and next(unreadable, False):
                raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
            return take_from_wait_list(one)

        return take(self, unreadable_at_first, entity)

    monkeypatch.setattr(Executor, "read", read)
    executor.add_node(node)
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    deadline = time.monotonic() + PATIENCE
    while not numbers and time.monotonic() < deadline:
        publisher.publish(Int32(data=3))
        time.sleep(0.01)
    executor.shutdown()
    spinner.join()
    node.destroy_node()
    assert numbers[0].data == 3
    assert [type(defect) for defect in defects] == [UnicodeDecodeError] * 2
