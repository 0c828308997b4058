# SPDX-License-Identifier: Apache-2.0
"""Temporary folders for bags, and what killed processes leave of them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gar_ros.bag.scratch import scratch_folder

_HOLDER = """
from gar_ros.bag.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "drive.mcap").write_bytes(b"recorded")
    print(folder, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of this process and of those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process with a folder of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def test_a_folder_goes_with_its_context(temporary_files: Path) -> None:
    with scratch_folder() as folder:
        (folder / "drive.mcap").touch()
        assert folder.parent == temporary_files
    assert not list(temporary_files.iterdir())


def test_what_a_killed_process_left_is_deleted_by_the_next_one(temporary_files: Path) -> None:
    with holder() as (process, left):
        process.kill()
        process.wait()
        assert (left / "drive.mcap").exists()
        with scratch_folder() as folder:
            assert list(temporary_files.iterdir()) == [folder]


def test_what_a_process_still_uses_stays() -> None:
    with holder() as (_, used), scratch_folder() as own, scratch_folder():
        assert (used / "drive.mcap").exists()
        assert own.exists()


def test_a_link_with_such_a_name_is_not_followed(
    temporary_files: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "notes").touch()
    (temporary_files / "gar_ros-bag-link").symlink_to(elsewhere)
    with scratch_folder():
        assert (elsewhere / "notes").exists()


def test_many_at_once_leave_each_other_alone(temporary_files: Path) -> None:
    """A folder may be taken for an orphan between its making and its lock."""

    def use(number: int) -> bool:
        with scratch_folder() as folder:
            (folder / "drive.mcap").write_text(str(number))
            return (folder / "drive.mcap").read_text() == str(number)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(use, range(400)))
    assert not list(temporary_files.iterdir())
