# SPDX-License-Identifier: Apache-2.0
"""`gar annotate` about many bags in one process: each whole or not at all, and only those that are missing."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gar_ros.bag.begun import SETTINGS
from gar_ros.cli.main import main
from gar_ros.engine.encoded_frame import Answer
from tests.bag.small_bags import NamingEngine, annotate, naming_engine, numbers, record, scene  # noqa: F401, a fixture

pytestmark = pytest.mark.usefixtures("naming_engine")


@pytest.fixture
def drives(tmp_path: Path) -> Path:
    """Three bags, whose images are numbered from 1, 11 and 21."""
    for number, name in enumerate(("a", "b", "c")):
        record(tmp_path / "drives" / name, scene(2, number=10 * number + 1))
    return tmp_path / "drives"


def files(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def names(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def modified(folder: Path) -> dict[str, int]:
    """When each new bag was written."""
    return {one.name: one.stat().st_mtime_ns for one in folder.iterdir() if one.is_dir()}


def damage(bag: Path) -> bytes:
    """Cuts a bag's file in the middle; what it was."""
    (file,) = bag.glob("*.mcap")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    return whole


class Failing(NamingEngine):
    """Raises an error at the image whose first pixel is 12, of bag b."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def encode(self, image: Any, *rest: Any) -> Any:
        if image[0, 0, 0] == 12:
            raise self._error
        return super().encode(image, *rest)


def test_each_bag_becomes_one(drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert annotate(drives, out) == 0
    assert [numbers(out / name) for name in ("a", "b", "c")] == [[1, 2], [11, 12], [21, 22]]
    told = capsys.readouterr()
    assert f"6 answers about 6 images in 3 new bags in {out}" in told.out
    assert "3 of 3 bags, " in told.err and "6 images, " in told.err and " a second" in told.err


def test_the_same_run_gives_the_same_bytes(drives: Path, tmp_path: Path) -> None:
    for out in ("one", "two"):
        assert annotate(drives, tmp_path / out) == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_a_second_run_does_what_is_missing(drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["annotate", str(drives / "a"), str(drives / "b"), "--out", str(out), "--every", "0"]) == 0
    before = modified(out)
    capsys.readouterr()
    assert annotate(drives, out) == 0
    after = modified(out)
    assert {name: after[name] for name in before} == before
    assert set(after) == {"a", "b", "c"}
    assert "continuing: 2 of 3 bags" in capsys.readouterr().err
    assert annotate(drives, out) == 0
    assert modified(out) == after


def test_a_damaged_bag_costs_itself_and_is_tried_again(
    drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    whole = damage(drives / "b")
    assert annotate(drives, out) == 1
    told = capsys.readouterr()
    assert "gar: b: not written: " in told.err and "is damaged" in told.err
    assert "1 of 3 bags are not written" in told.out
    assert set(modified(out)) == {"a", "c"}
    (drives / "b/b.mcap").write_bytes(whole)
    assert annotate(drives, out) == 0
    assert numbers(out / "b") == [11, 12]


def test_a_bag_that_breaks_a_library_costs_itself(
    drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gar_ros.cli.annotate.open_engine", lambda args: Failing(ZeroDivisionError("of a library")))
    assert annotate(drives, tmp_path / "out") == 1
    assert "gar: b: not written: ZeroDivisionError: of a library" in capsys.readouterr().err
    assert sorted(names(tmp_path / "out")) == ["a", "c", SETTINGS]


def test_what_is_interrupted_leaves_whole_bags_alone(
    drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gar_ros.cli.annotate.open_engine", lambda args: Failing(KeyboardInterrupt()))
    assert annotate(drives, tmp_path / "out") == 130
    assert "interrupted: 1 of 3 bags are in" in capsys.readouterr().err
    assert sorted(names(tmp_path / "out")) == ["a", SETTINGS]


def test_what_a_killed_run_has_left_of_a_bag_is_deleted(drives: Path, tmp_path: Path) -> None:
    out, nobody = tmp_path / "out", 4_194_304  # above every process id
    assert annotate(drives, out) == 0
    (out / "b").rename(tmp_path / "elsewhere")
    (out / f".b.{nobody}.part/b").mkdir(parents=True)
    assert annotate(drives, out) == 0
    assert sorted(names(out)) == ["a", "b", "c", SETTINGS]


def test_other_settings_or_other_files_are_refused(
    drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert annotate(drives, out) == 0
    assert annotate(drives, out, "--question", "What is <Prompt0>?") == 2
    assert 'were made with questions [], now it is ["What is <Prompt0>?"]' in capsys.readouterr().err
    assert annotate(drives, drives) == 2
    assert f"which has files but no {SETTINGS}" in capsys.readouterr().err
    assert annotate(drives, out / "a") == 2


def test_bags_from_elsewhere(drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    damage(drives / "c")
    for file in drives.rglob("*.*"):
        memory.pipe_file(f"/bucket/{file.relative_to(drives)}", file.read_bytes())
    assert main(["annotate", "memory://bucket", "--out", str(tmp_path / "out"), "--every", "0"]) == 1
    told = capsys.readouterr().err
    assert "gar: c: not written: " in told and "memory://" in told and "gar_ros-" not in told
    assert main(["annotate", str(drives), "--out", str(tmp_path / "here"), "--every", "0"]) == 1
    assert files(tmp_path / "out") == files(tmp_path / "here")
    assert numbers(tmp_path / "out/b") == [11, 12]


def rows(path: Path) -> list[dict[str, Any]]:
    """Of a table."""
    return list(pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist())


def test_a_table_has_a_row_for_each_answer(drives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")

    class Choosing(NamingEngine):
        def encode(self, image: Any, *rest: Any) -> Any:
            answer = Answer("no", (5, 6), 1, (0.25, 0.75), 0.75)
            return SimpleNamespace(ask=lambda question, max_tokens: answer)

    monkeypatch.setattr("gar_ros.cli.annotate.open_engine", lambda args: Choosing())
    table, words = tmp_path / "all.parquet", ["--question", "Is <Prompt0> red?", "--choices", "yes,no"]
    assert annotate(drives, tmp_path / "out", *words, "--table", str(table)) == 0
    found = rows(table)
    assert [(row["bag"], row["regions"]) for row in found] == [
        *[("a", ["1"]), ("a", ["2"]), ("b", ["11"]), ("b", ["12"]), ("c", ["21"]), ("c", ["22"])]
    ]
    assert found[1] == {
        "bag": "a",
        "topic": "/image",
        "stamp_ns": 1_700_000_000_100_000_000,
        "regions": ["2"],
        "question": "Is <Prompt0> red?",
        "choices": ["yes", "no"],
        "answer": "no",
        "probabilities": [0.25, 0.75],
        "confidence": 0.75,
        "complete": True,
        "token_ids": [5, 6],
    }
    assert sorted(names(tmp_path)) == ["all.parquet", "drives", "out"]


def test_a_table_holds_what_earlier_runs_have_answered(drives: Path, tmp_path: Path) -> None:
    """Token ids are in no bag, only in tables."""
    pytest.importorskip("pyarrow")
    out, table = tmp_path / "out", tmp_path / "all.parquet"
    assert annotate(drives / "a*", out) == 0
    assert annotate(drives / "b*", out, "--table", str(table)) == 0
    assert [row["bag"] for row in rows(table)] == ["b", "b"]
    assert annotate(drives / "*", out, "--table", str(table)) == 0
    assert [(row["bag"], row["answer"], row["token_ids"]) for row in rows(table)] == [
        ("a", "1", None),
        ("a", "2", None),
        *[(name, str(number), []) for name, number in (("b", 11), ("b", 12), ("c", 21), ("c", 22))],
    ]


def test_a_table_of_one_bag(drives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyarrow")
    table = tmp_path / "nowhere/a.parquet"
    assert annotate(drives / "a", tmp_path / "out", "--table", str(table)) == 2
    assert "can't write the table" in capsys.readouterr().err
    table.parent.mkdir()
    assert annotate(drives / "a", tmp_path / "other", "--table", str(table)) == 0
    assert [(row["bag"], row["answer"]) for row in rows(table)] == [("other", "1"), ("other", "2")]


@pytest.mark.parametrize(
    ("option", "package", "requirement"),
    [("--table=t.parquet", "pyarrow", "pyarrow>=25"), ("--ray", "ray", "ray>=2.60")],
)
def test_what_the_extra_brings_is_named(
    checkout: Path,
    drives: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
    package: str,
    requirement: str,
) -> None:
    assert f'"{requirement}"' in (checkout / "pyproject.toml").read_text(encoding="utf-8")
    for name in (package, "gar_ros.fleet.ray_pool", "gar_ros.fleet.actor"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    assert annotate(drives, tmp_path / "out", option) == 2
    told = capsys.readouterr().err
    assert f"needs the Python package {package}, which is not installed: run `pip install '{requirement}'`" in told
