# SPDX-License-Identifier: Apache-2.0
"""Bags that were cut, overwritten or never closed: one line and nothing written, or what can be read when asked for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from tests.bag.small_bags import (
    annotate,
    answered,
    copied,
    naming_engine,  # noqa: F401, a fixture
    numbers,
    only,
    record,
    scene,
)

pytestmark = pytest.mark.usefixtures("naming_engine")
COUNT = 6
MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3


def cut(part: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = only(folder, "bag.*")
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])

    return damage


def overwritten(folder: Path) -> None:
    file = only(folder, "bag.*")
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 8192] = b"\xff" * len(data[middle : middle + 8192])
    file.write_bytes(data)


def emptied(folder: Path) -> None:
    only(folder, "bag.*").write_bytes(b"")


def replaced(folder: Path) -> None:
    only(folder, "bag.*").write_bytes(b"\x00" * 5000)


cuts = [cut(0.3), cut(0.7), cut(0.999)]


@pytest.mark.parametrize("damage", [*cuts, overwritten, emptied, replaced])
@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (MCAP, CompressionMode.NONE),
        (MCAP, CompressionMode.STORAGE),
        (SQLITE, CompressionMode.NONE),
        (SQLITE, CompressionMode.FILE),
    ],
)
def test_a_damaged_bag_is_one_line_and_nothing_is_written(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    storage: StoragePlugin,
    compression: CompressionMode,
    damage: Callable[[Path], None],
) -> None:
    bag = record(tmp_path / "bag", scene(100), storage, compression)
    damage(bag)
    code = annotate(bag, tmp_path / "out")
    error = capsys.readouterr().err
    if code == 0:
        assert damage is cuts[-1] or storage is SQLITE, "no message was hit, or no check sum tells it"
        assert len(answered(tmp_path / "out")) == 100
        return
    assert (code, error.count("\n")) == (2, 1) and error.startswith("gar: ") and str(tmp_path / "bag") in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]


@pytest.mark.parametrize("storage", [MCAP, SQLITE], ids=["mcap", "sqlite3"])
def test_what_can_be_read_of_a_cut_bag_is_answered_when_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], storage: StoragePlugin
) -> None:
    mode = CompressionMode.STORAGE if storage is MCAP else CompressionMode.NONE
    bag = record(tmp_path / "bag", scene(2000), storage, mode)
    cut(0.7)(bag)
    assert annotate(bag, tmp_path / "none", "--without-input", "--every", "1") == 2
    assert "with --recover what can be read is answered" in capsys.readouterr().err
    assert annotate(bag, tmp_path / "out", "--without-input", "--every", "1", "--recover") == 1
    assert "messages could be read" in capsys.readouterr().err
    assert len(numbers(tmp_path / "out")) > 100


def test_a_sqlite_bag_whose_recorder_was_killed_is_not_read_in_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last messages are in the write-ahead log beside it."""
    bag = record(tmp_path / "bag", scene(COUNT), SQLITE)
    file = only(bag, "*.db3")
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, 1, data FROM messages")
    database.commit()
    killed = tmp_path / "killed"
    shutil.copytree(bag, killed)
    database.close()
    assert annotate(killed, tmp_path / "out") == 2
    assert "left bag.db3-wal; with --recover" in capsys.readouterr().err
    assert annotate(killed, tmp_path / "out", "--recover") == 0
    assert len(copied(tmp_path / "out")["/image"]) == 2 * COUNT
