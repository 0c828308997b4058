# SPDX-License-Identifier: Apache-2.0
"""What the executor leaves out of most of its waits, it looks at all the same."""

from __future__ import annotations

import threading
import time

import pytest
from rclpy.event_handler import EventHandler, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Int32

from gar_ros.node.executor import _EVENTS_SECONDS, Executor, _WithoutEvents

PATIENCE = 60.0


def test_events_are_left_out_until_they_are_due_again(ros_node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    view = _WithoutEvents(ros_node)
    assert view.look()
    assert any(isinstance(one, EventHandler) for one in view.waitables)
    assert not view.look()
    assert not any(isinstance(one, EventHandler) for one in view.waitables)
    assert list(view.services) == list(ros_node.services)
    now += _EVENTS_SECONDS
    assert view.look()


def test_all_threads_are_there_from_the_begin(ros_node: Node) -> None:
    before = threading.active_count()
    executor = Executor(3, print)
    begun = threading.active_count() - before
    assert begun == 2 * 3 + 24
    executor.add_node(ros_node)
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    for _ in range(100):
        executor.create_task(time.sleep, 0.01)
    assert threading.active_count() - before == begun + 1
    executor.shutdown()
    spinner.join()
    assert threading.active_count() == before


def test_an_event_is_told_also_when_nothing_else_happens(ros_node: Node) -> None:
    """A publisher whose QoS doesn't match comes after the executor has waited without events."""
    executor, told, ran = Executor(1, print), threading.Event(), threading.Event()
    events = SubscriptionEventCallbacks(incompatible_qos=lambda event: told.set())
    ros_node.create_subscription(Int32, "numbers", print, QoSProfile(depth=1), event_callbacks=events)
    executor.add_node(ros_node)
    spinner = threading.Thread(target=executor.spin)
    spinner.start()
    executor.create_task(ran.set)
    assert ran.wait(PATIENCE)
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = ros_node.create_publisher(Int32, "numbers", best_effort)
    assert told.wait(PATIENCE)
    executor.shutdown()
    spinner.join()
    ros_node.destroy_publisher(publisher)
