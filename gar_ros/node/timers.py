# SPDX-License-Identifier: Apache-2.0
"""Timers that end with what they belong to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node


def every(node: Node, seconds: float, callback: Callable[[], None], lifetime: ExitStack) -> None:
    """Calls back until `lifetime` ends, by the steady clock: simulated time may stand still, this must not."""
    clock = Clock(clock_type=ClockType.STEADY_TIME)
    timer = node.create_timer(seconds, callback, callback_group=MutuallyExclusiveCallbackGroup(), clock=clock)
    lifetime.callback(node.destroy_timer, timer)
