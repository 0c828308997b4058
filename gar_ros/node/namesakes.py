# SPDX-License-Identifier: Apache-2.0
"""Whether another node has this node's name: both get every request, and the caller hears whoever replies first."""

from __future__ import annotations

from contextlib import ExitStack

from rclpy.node import Node

from gar_ros.node.timers import every

_PERIOD = 2.0
"""Seconds between two looks."""


class NamesakeWatch:
    """Looks again and again until its lifetime ends; the log tells whenever a namesake appears, and when it leaves."""

    def __init__(self, node: Node, lifetime: ExitStack) -> None:
        self._node = node
        self._trouble = ""
        every(node, _PERIOD, self._look, lifetime)

    def trouble(self) -> str:
        """What is wrong as of now; empty when no other node has the name."""
        mine = (self._node.get_name(), self._node.get_namespace())
        if self._node.get_node_names_and_namespaces().count(mine) < 2:
            return ""
        return (
            f"another node is called {self._node.get_fully_qualified_name()} too (or was killed less than 20 s ago "
            "and is still listed): both get every request, and the caller hears whichever replies first; stop one or "
            "rename it with `-r __node:=NAME`"
        )

    def _look(self) -> None:
        trouble = self.trouble()
        if trouble and not self._trouble:
            self._node.get_logger().warning(trouble)
        elif self._trouble and not trouble:
            self._node.get_logger().info(f"no other node is called {self._node.get_fully_qualified_name()} any more")
        self._trouble = trouble
