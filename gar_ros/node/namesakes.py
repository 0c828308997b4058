# SPDX-License-Identifier: Apache-2.0
"""A warning when another node has this node's name: both answer the same services, each to some of the callers."""

from __future__ import annotations

from contextlib import ExitStack

from rclpy.node import Node

from gar_ros.node.timers import every

_PERIOD = 2.0
"""Seconds between two looks."""


class NamesakeWatch:
    """Looks again and again until its lifetime ends; warns once whenever a namesake appears."""

    def __init__(self, node: Node, lifetime: ExitStack) -> None:
        self._node = node
        self._warned = False
        every(node, _PERIOD, self._look, lifetime)

    def _look(self) -> None:
        mine = (self._node.get_name(), self._node.get_namespace())
        others = self._node.get_node_names_and_namespaces().count(mine) - 1
        if others > 0 and not self._warned:
            self._node.get_logger().warning(
                f"another node is called {self._node.get_fully_qualified_name()} too (or was killed less than 20 s ago "
                "and is still listed): requests reach either of them; stop one or rename it with `-r __node:=NAME`"
            )
        self._warned = others > 0
