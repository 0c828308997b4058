# SPDX-License-Identifier: Apache-2.0
"""What is answered survives, and nothing else is taken for an answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gar_ros.bench.journal import Journal
from gar_ros.errors import GarError

SETTINGS = {"task": "vqa", "max_tiles": None}


def filled(path: Path, *keys: str) -> Path:
    with Journal(path, SETTINGS) as journal:
        for key in keys:
            journal.add(key, {"output": f"é {key}"})
    return path


def test_records_are_there_for_the_next_run(tmp_path: Path) -> None:
    path = filled(tmp_path / "j", "1", "0")
    with Journal(path, SETTINGS) as journal:
        assert journal.records == {"1": {"output": "é 1"}, "0": {"output": "é 0"}}
        journal.add("2", {"output": ""})
    assert [json.loads(line).get("key") for line in path.read_text().splitlines()] == [None, "1", "0", "2"]


def test_a_record_is_in_the_file_before_the_journal_is_closed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", SETTINGS) as journal:
        journal.add("0", {"output": "A"})
        assert (tmp_path / "j").read_bytes().endswith(b'{"key": "0", "output": "A"}\n')


def test_whatever_place_a_kill_cut_it_at_the_whole_lines_count(tmp_path: Path) -> None:
    whole = filled(tmp_path / "j", "0", "1").read_bytes()
    for length in range(len(whole) + 1):
        (tmp_path / "j").write_bytes(whole[:length])
        complete = whole[:length].count(b"\n")
        with Journal(tmp_path / "j", SETTINGS) as journal:
            assert list(journal.records) == ["0", "1"][: max(complete - 1, 0)]
            for key in ("0", "1")[len(journal.records) :]:
                journal.add(key, {"output": f"é {key}"})
        assert (tmp_path / "j").read_bytes() == whole


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    path = filled(tmp_path / "j", "0")
    with pytest.raises(GarError, match=r"other settings \(max_tiles was None, now 2\)"):
        Journal(path, {**SETTINGS, "max_tiles": 2})


def test_a_journal_without_records_binds_nobody(tmp_path: Path) -> None:
    (tmp_path / "j").write_text(json.dumps({"settings": SETTINGS}) + "\n")
    with Journal(tmp_path / "j", {"task": "other"}) as journal:
        journal.add("0", {})
    assert json.loads((tmp_path / "j").read_text().splitlines()[0]) == {"settings": {"task": "other"}}


@pytest.mark.parametrize("line", ["{", "7", '{"output": "A"}', '{"key": "0"}', "\x00\x00"])
def test_a_damaged_line_is_numbered(tmp_path: Path, line: str) -> None:
    path = filled(tmp_path / "j", "0")
    path.write_text(path.read_text() + line + "\n" + '{"key": "5"}\n')
    with pytest.raises(GarError, match="line 3 is damaged"):
        Journal(path, SETTINGS)


def test_a_file_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"a": 1}\n{"b": 2}\n')
    with pytest.raises(GarError, match="line 1 is damaged: expected the settings"):
        Journal(tmp_path / "j", SETTINGS)
    assert (tmp_path / "j").read_text() == '{"a": 1}\n{"b": 2}\n'


def test_two_processes_do_not_write_to_one(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", SETTINGS), pytest.raises(GarError, match="another process"):
        Journal(tmp_path / "j", SETTINGS)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(GarError, match="can't be written: No such file"):
        Journal(tmp_path / "none/j", SETTINGS)
