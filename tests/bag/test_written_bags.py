# SPDX-License-Identifier: Apache-2.0
"""The new bag is there whole or not at all; what a killed run has left is in nobody's way."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from gar_ros.bag.pending import Pending
from tests.bag.small_bags import (
    Sent,
    annotate,
    naming_engine,  # noqa: F401, a fixture
    numbers,
    record,
    scene,
)

pytestmark = pytest.mark.usefixtures("naming_engine")
NO_PROCESS = 2**22 + 1  # above the largest number that Linux gives


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may have more bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [0, 100, 5000, 1_100_000])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], size: int
) -> None:
    sent: list[Sent] = scene(5000 if size > 10_000 else 100)
    bag = record(tmp_path / "bag", sent)
    with disk_of(size):
        code = annotate(bag, tmp_path / "new" / "out", "--every", "10")
    error = capsys.readouterr().err
    assert code == 2
    assert error == f"gar: can't write a bag to '{tmp_path / 'new' / 'out'}': File too large\n"
    assert names(tmp_path / "new") == []


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    bag = record(tmp_path / "bag", scene(2))
    assert annotate(bag, tmp_path / "file" / "out") == 2
    assert capsys.readouterr().err.startswith(f"gar: can't write a bag to '{tmp_path / 'file' / 'out'}': ")


def test_what_a_killed_run_has_left_does_not_block_and_is_deleted(tmp_path: Path) -> None:
    mine = tmp_path / f".out.{os.getppid()}.part"
    others = tmp_path / f".out.{NO_PROCESS}.part" / "notes"
    left = tmp_path / f".out.{NO_PROCESS + 1}.part" / "out"
    for folder in (mine, others, left):
        folder.mkdir(parents=True)
    assert annotate(record(tmp_path / "bag", scene(3)), tmp_path / "out") == 0
    assert names(tmp_path) == sorted([mine.name, others.parent.name, "bag", "out"])
    assert numbers(tmp_path / "out") == [1, 2, 3]


def test_a_run_that_is_killed_leaves_no_bag_and_can_be_run_again(tmp_path: Path) -> None:
    bag = record(tmp_path / "bag", scene(3))
    program = (
        "import os, signal\n"
        "from tests.bag import small_bags\n"
        "import gar_ros.cli.annotate\n"
        "class Killed(small_bags.NamingEngine):\n"
        "    def encode(self, *_):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "gar_ros.cli.annotate.open_engine = lambda args: Killed()\n"
        f"small_bags.annotate({str(bag)!r}, {str(tmp_path / 'out')!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    assert annotate(bag, tmp_path / "out") == 0
    assert names(tmp_path) == ["bag", "out"]


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    bag = record(tmp_path / "bag", scene(2))
    (tmp_path / "out").mkdir()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for out in (tmp_path / "out", tmp_path / "gone", bag):
        assert annotate(bag, out) == 2
    assert names(tmp_path) == ["bag", "gone", "out"]


def test_messages_that_wait_go_to_disk_beyond_the_limit() -> None:
    disk = BytesIO()
    pending = Pending(disk, limit=5)
    for number, data in enumerate([b"abc", b"defg", b"hi", b"jkl"]):
        pending.put(number, data)
    assert [pending.get(number) for number in (3, 1, 0, 2)] == [b"jkl", b"defg", b"abc", b"hi"]
    assert disk.getvalue() == b"defgjkl"
    for number in range(3):
        pending.drop(number)
    pending.put(4, b"mnopq")
    assert (pending.get(3), pending.get(4)) == (b"jkl", b"mnopq")
    pending.drop(3)
    assert disk.getvalue() == b""
