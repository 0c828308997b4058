# SPDX-License-Identifier: Apache-2.0
"""The bond to Nav2's lifecycle manager, by which it notices that the node has died or was deactivated by others."""

from __future__ import annotations

import importlib
from contextlib import ExitStack
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node

from gar_ros.errors import ErrorCode, GarError

_TOPIC = "bond"
_NEVER = 10 * 365 * 86400.0
"""Seconds until silence of the manager breaks the bond: Nav2's own servers don't listen for it either."""
_LAST_WORD = Duration(seconds=0.5)
"""How long the end of the bond may take to reach the manager."""


class NoBond:
    """No bond was asked for."""

    def form(self, node: Node, lifetime: ExitStack) -> None:
        """Nothing."""


class Nav2Bond(NoBond):
    """Bonds as those of Nav2's own servers: on topic `bond`, with the node's name as id."""

    def __init__(self, bondpy: Any, period: float) -> None:
        """bondpy: the module. period: seconds between heartbeats."""
        self._bondpy, self._period = bondpy, period

    def form(self, node: Node, lifetime: ExitStack) -> None:
        """Sends heartbeats until `lifetime` ends, and then that the bond is broken."""
        bond = self._bondpy.Bond(node, _TOPIC, node.get_name())
        lifetime.callback(_end, node, bond)
        bond.set_heartbeat_period(self._period)
        bond.set_heartbeat_timeout(_NEVER)
        bond.start()
        node.get_logger().info(f"bond '{bond.id}': a heartbeat every {self._period:g} s")


def make_bond(period: float) -> NoBond:
    """The bond that parameter `bond.heartbeat_period` asks for. period: seconds; 0: none.

    Raises GarError INVALID_REQUEST when it asks for one and bondpy is not installed.
    """
    if not period:
        return NoBond()
    try:
        return Nav2Bond(importlib.import_module("bondpy.bondpy"), period)
    except ImportError as error:
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"parameter bond.heartbeat_period is {period:g} s, which needs bondpy (apt install "
            f"ros-${{ROS_DISTRO}}-bondpy), or set it to 0 and the lifecycle manager's bond_timeout to 0.0: {error}",
        ) from error


def _end(node: Node, bond: Any) -> None:
    """bondpy (4.0) leaves its timers running, and its destroyed topics in the node's lists."""
    if hasattr(bond, "thread"):  # it was started
        bond.break_bond()
        bond.pub.wait_for_all_acked(_LAST_WORD)  # what a destroyed publisher has not sent is lost
        bond.shutdown()
        bond.thread.join()
        node.destroy_subscription(bond.sub)
        for timer in (bond.connect_timer, bond.heartbeat_timer, bond.disconnect_timer):
            timer.cancel()
    node.destroy_publisher(bond.pub)
