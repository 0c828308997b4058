# SPDX-License-Identifier: Apache-2.0
"""Timers that end with what they belong to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node

from gar_ros.rclpy_compat import steady_clock


def every(node: Node, seconds: float, callback: Callable[[], None], lifetime: ExitStack) -> None:
    """Calls back until `lifetime` ends, by the steady clock: simulated time may stand still, this must not."""
    group = MutuallyExclusiveCallbackGroup()
    timer = node.create_timer(seconds, callback, callback_group=group, clock=steady_clock())
    lifetime.callback(node.destroy_timer, timer)
