# SPDX-License-Identifier: Apache-2.0
"""What the node's process uses, and what the node says of itself, as samples over time."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from gar_ros.node.endpoints import DIAGNOSTICS, NODE_NAME
from tools.soak.journal import Journal


class Watch:
    """Writes one sample each time it is asked."""

    def __init__(self, pid: int, journal: Journal) -> None:
        """pid: of the node. Listens to its diagnostics until `close`."""
        self._pid, self._journal = pid, journal
        self._told: dict[str, str] = {}
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is the soak's own matter
        self._node = rclpy.create_node("soak_watch")
        self._node.create_subscription(DiagnosticArray, DIAGNOSTICS.name, self._hear, 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the listening."""
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.shutdown()

    @property
    def told(self) -> dict[str, str]:
        """The newest values of the node's diagnostics; empty before the first."""
        return self._told

    def sample(self) -> None:
        """Writes memory in MiB, CPU seconds, open files, threads, and what the diagnostics said last."""
        proc = Path(f"/proc/{self._pid}")
        try:
            pages = int((proc / "statm").read_text().split()[1])
            files = len(list((proc / "fd").iterdir()))
            # After "pid (name) state", whose name may hold spaces: ppid is field 4, utime 14, stime 15, threads 20.
            fields = (proc / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return
        self._journal.write(
            rss=round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 2),
            cpu=(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
            files=files,
            threads=int(fields[17]),
            told=self._told,
        )

    def _hear(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(f"{NODE_NAME}:"):
                self._told = {"message": status.message, **{pair.key: pair.value for pair in status.values}}

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()
