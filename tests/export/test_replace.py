# SPDX-License-Identifier: Apache-2.0
"""An export that was killed at any point leaves a model folder, the old or the new one, after the next export."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gar_export.replace import clean_up, part_of, replace
from gar_ros.engine.model_dir.manifest import FORMAT, MANIFEST


def model(folder: Path, graph: str, complete: bool = True) -> Path:
    folder.mkdir()
    (folder / "a.onnx").write_text(graph)
    if complete:
        (folder / MANIFEST).write_text(f'{{"format": "{FORMAT}", "files": {{"a.onnx": {{}}}}}}')
    return folder


@pytest.fixture(scope="module")
def ended() -> int:
    """The id of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_what_is_not_exported_comes_along(tmp_path: Path) -> None:
    out = model(tmp_path / "out", "old")
    (out / "README.md").write_text("card")
    replace(model(part_of(out), "new"), out)
    assert {path.name: path.read_text() for path in out.iterdir() if path.name != MANIFEST} == {
        "a.onnx": "new",
        "README.md": "card",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("card_in", ["old", "part"])
def test_a_kill_between_the_renames_is_finished(tmp_path: Path, ended: int, card_in: str) -> None:
    folders = {kind: model(tmp_path / f".out.{ended}.{kind}", kind) for kind in ("old", "part")}
    (folders[card_in] / "README.md").touch()
    clean_up(tmp_path / "out")
    assert (tmp_path / "out/a.onnx").read_text() == "part"
    assert (tmp_path / "out/README.md").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_without_a_complete_new_folder_the_old_one_is_back(tmp_path: Path, ended: int) -> None:
    model(tmp_path / f".out.{ended}.old", "old")
    clean_up(tmp_path / "out")
    assert (tmp_path / "out/a.onnx").read_text() == "old"


def test_half_an_export_and_a_replaced_folder_are_removed(tmp_path: Path, ended: int) -> None:
    model(tmp_path / "out", "new")
    model(tmp_path / f".out.{ended}.old", "old")
    model(tmp_path / f".out.{ended}.part", "half", complete=False)
    clean_up(tmp_path / "out")
    assert (tmp_path / "out/a.onnx").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_export_that_runs_and_other_folders_are_left_alone(tmp_path: Path, ended: int) -> None:
    names = [f".out.{os.getpid()}.part", f".other.{ended}.part", f".out.b.{ended}.part", ".out.mine.part", "out"]
    for name in names:
        model(tmp_path / name, name)
    clean_up(tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
