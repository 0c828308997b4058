# SPDX-License-Identifier: Apache-2.0
"""Reads what a running node says of itself on /diagnostics."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile

from tests.system.robot import Mailbox, Robot, wait_until


class Doctor:
    """Listens from its construction on."""

    def __init__(self, robot: Robot) -> None:
        self._mailbox = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))

    def wait_for(self, level: bytes, **values: str) -> DiagnosticStatus:
        """A status of this level with these values; underscores in their names are spaces."""
        seen: Any = None

        def is_there() -> bool:
            nonlocal seen
            (seen,) = self._mailbox.wait().status
            found = {pair.key: pair.value for pair in seen.values}
            wanted = {name.replace("_", " "): value for name, value in values.items()}
            return seen.level == level and wanted.items() <= found.items()

        wait_until(is_there, lambda: str(seen))
        return seen
