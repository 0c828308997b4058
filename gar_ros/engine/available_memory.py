# SPDX-License-Identifier: Apache-2.0
"""How much memory this process can still take: of the machine, of its control groups and of its own limit."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_PAGE = resource.getpagesize()


def available_bytes(root: Path = Path("/")) -> int | None:
    """The smallest of what /proc/meminfo, the memory limits of the control groups (v2 and v1) and `ulimit -v` leave.

    root: where /proc and /sys are. None where nothing of that can be known.
    """
    found = [*_of_machine(root), *_of_groups(root), *_of_process(root)]
    return max(min(found), 0) if found else None


def _of_machine(root: Path) -> Iterator[int]:
    for line in _read(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable" and value.split():
            yield int(value.split()[0]) * 1024


def _of_process(root: Path) -> Iterator[int]:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    pages = _read(root / "proc/self/statm").split()
    if limit != resource.RLIM_INFINITY and pages:
        yield limit - int(pages[0]) * _PAGE


def _of_groups(root: Path) -> Iterator[int]:
    """What each group that this process is in leaves. In a container its own group is the root of what it sees."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            names = ("memory.max", "memory.current", "inactive_file")
            yield from _of_group_and_parents(root / "sys/fs/cgroup", path, names)
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _of_group_and_parents(root / "sys/fs/cgroup/memory", path, names)


def _of_group_and_parents(base: Path, path: str, names: tuple[str, str, str]) -> Iterator[int]:
    group = PurePosixPath("/", path)
    for one in (group, *group.parents):
        folder = base / one.relative_to("/")
        limit, used = _read(folder / names[0]).strip(), _read(folder / names[1]).strip()
        if limit.isdecimal() and used.isdecimal():  # "max" where there is no limit
            yield int(limit) - int(used) + _pages_of_files(folder, names[2])


def _pages_of_files(folder: Path, name: str) -> int:
    """Bytes that the kernel takes back when memory is short."""
    for line in _read(folder / "memory.stat").splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name and words[1].isdecimal():
            return int(words[1])
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
