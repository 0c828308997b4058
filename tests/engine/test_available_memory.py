# SPDX-License-Identifier: Apache-2.0
"""How much memory a process can still take, from files as Linux writes them."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gar_ros.engine.available_memory import available_bytes

KIB = 1024


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with 1000 KiB available."""
    write(tmp_path, "proc/meminfo", "MemTotal:  9000 kB\nMemFree:  1 kB\nMemAvailable:  1000 kB\n")
    return tmp_path


def write(root: Path, name: str, content: object) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n")


def test_a_machine_without_groups(root: Path) -> None:
    assert available_bytes(root) == 1000 * KIB


def test_nothing_is_known_without_proc(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None


def test_a_group_of_version_2_and_its_parents_count_without_pages_of_files(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/robot/gar")
    write(root, "sys/fs/cgroup/robot/gar/memory.max", "max")
    write(root, "sys/fs/cgroup/robot/gar/memory.current", 5)
    write(root, "sys/fs/cgroup/robot/memory.max", 900 * KIB)
    write(root, "sys/fs/cgroup/robot/memory.current", 500 * KIB)
    assert available_bytes(root) == 400 * KIB
    write(root, "sys/fs/cgroup/robot/memory.stat", f"anon 7\ninactive_file {100 * KIB}")
    assert available_bytes(root) == 500 * KIB


def test_a_container_sees_its_own_group_as_the_root(root: Path) -> None:
    write(root, "proc/self/cgroup", "0::/")
    write(root, "sys/fs/cgroup/memory.max", 300 * KIB)
    write(root, "sys/fs/cgroup/memory.current", 400 * KIB)
    assert available_bytes(root) == 0, "more is used than is allowed"


def test_a_group_of_version_1(root: Path) -> None:
    write(root, "proc/self/cgroup", "3:cpu,cpuacct:/x\n2:memory:/docker/1\n1:name=systemd:/")
    write(root, "sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", 700 * KIB)
    write(root, "sys/fs/cgroup/memory/docker/1/memory.usage_in_bytes", 100 * KIB)
    write(root, "sys/fs/cgroup/memory/docker/1/memory.stat", f"total_inactive_file {50 * KIB}")
    assert available_bytes(root) == 650 * KIB


@pytest.mark.parametrize("content", ["", "\0\0", "0", "0:::::", "0::/../../etc", "MemAvailable:", "MemAvailable: x"])
def test_files_that_are_not_as_linux_writes_them(root: Path, content: str) -> None:
    write(root, "proc/self/cgroup", content)
    assert available_bytes(root) == 1000 * KIB


def test_the_process_own_limit_counts() -> None:
    script = (
        "import resource; from gar_ros.engine.available_memory import available_bytes\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)); print(available_bytes())"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert 0 < int(out) < 4 << 30
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
