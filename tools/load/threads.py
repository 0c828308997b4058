# SPDX-License-Identifier: Apache-2.0
"""How much of the CPU each thread of a process has had."""

from __future__ import annotations

from pathlib import Path

Usage = dict[str, tuple[str, float]]
"""Name as the system knows it, and CPU seconds so far, by thread id."""


def thread_seconds(pid: int) -> Usage:
    """Of each thread that the process has now."""
    usage: Usage = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            name = (task / "comm").read_text().strip()
            nanoseconds = int((task / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            continue
        usage[task.name] = (name, nanoseconds / 1e9)
    return usage
