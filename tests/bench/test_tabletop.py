# SPDX-License-Identifier: Apache-2.0
"""`gar bench tabletop` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gar_ros.bench.tabletop_find import SEARCHES
from tests.bench.conftest import RunGar

ROW = {"accuracy", "count", "interval", "chance", "blind"}


def test_it_prints_the_table_and_writes_the_same_numbers(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    options = ["--size", "320x240", "--objects", "3,5", "--threads", 1]
    code, out, err = run_gar("bench", "tabletop", "--model", gar_tiny, "--scenes", 3, "--json", file, *options)
    assert code == 0
    report = json.loads(file.read_text())
    assert (report["model"], report["scenes"], report["seed"], report["size"]) == ("gar-tiny", 3, 2_000_000, "320x240")
    assert set(report["groups"]) == {"attributes", "relations", "three_regions", "captions", "phrases"}
    assert all(set(row) == ROW and 0 <= row["accuracy"] <= 1 for row in report["types"].values())
    asked = sum(row["count"] for row in report["types"].values())
    assert asked == sum(row["count"] for row in report["groups"].values()) > 30
    attributes = report["groups"]["attributes"]
    assert attributes["accuracy"] > attributes["chance"]
    assert f"| {100 * attributes['accuracy']:.1f} |" in out
    assert "3 of 3 scenes" in err
    searches = report["find"]["searches"]
    assert set(searches) <= set(SEARCHES) and searches["colour_shape"]["count"] == 3
    assert f"| colour_shape | {100 * searches['colour_shape']['right']:.1f} |" in out


def test_shared_features_answer_the_same_questions(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    """With one object in a picture all regions are the asked ones: nothing may differ."""
    reports = []
    for features in ("exact", "shared"):
        file = tmp_path / f"{features}.json"
        options = ["--objects", "1,1", "--size", "320x240", "--threads", 1, "--features", features, "--json", file]
        assert run_gar("bench", "tabletop", "--model", gar_tiny, "--scenes", 3, *options)[0] == 0
        reports.append(json.loads(file.read_text()))
    exact, shared = reports
    assert exact["types"] == shared["types"]
    assert exact["calibration_error"] == shared["calibration_error"]
    assert exact["seconds"]["first"] > exact["seconds"]["further"] > 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--scenes", 0], "expected at least one scene"),
        (["--size", "63x480"], "expected --size WxH of at least 64 pixels, got 63x480"),
        (["--size", "big"], "expected --size WxH of at least 64 pixels, got 'big'"),
        (["--objects", "5,3"], "expected --objects MIN,MAX within 1..12, got 5,3"),
        (["--jpeg", 0], "expected --jpeg 1..100, got 0"),
        (["--regions-as", "round"], "expected regions as mask, box"),
    ],
)
def test_options_that_make_no_sense_are_named(
    run_gar: RunGar, gar_tiny: Path, options: list[object], expected: str
) -> None:
    code, _, err = run_gar("bench", "tabletop", "--model", gar_tiny, *options)
    assert code == 2
    assert expected in err
