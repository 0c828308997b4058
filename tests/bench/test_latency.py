# SPDX-License-Identifier: Apache-2.0
"""`gar bench latency` from its options to its files; what it says of time is never looked at."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gar_ros.bench.journal import Journal
from gar_ros.bench.latency import command
from gar_ros.bench.latency.command import measure
from gar_ros.bench.latency.limits import Limits, best_flops
from gar_ros.bench.latency.scene import Scene, drawn_scene
from gar_ros.bench.latency.sides import Side
from gar_ros.bench.latency.work import Case, Measured, Work
from gar_ros.bench.latency.worker import Recorder
from tests.bench.conftest import RunGar

CASE = Case("question", 1, 1, 2)
MIB = 1 << 20


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    find: Callable[[str], object] = importlib.util.find_spec
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "torch" else find(name))


@pytest.mark.usefixtures("no_torch")
def test_quick_measures_what_is_served_here(run_gar: RunGar, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("json", "markdown", "picture")}
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    code, out, err = run_gar("bench", "latency", "--quick", *options)
    assert code == 0
    assert "torch is not installed, so only what is served here is measured" in err
    rows = json.loads(files["json"].read_text())["rows"]
    assert [row["case"] for row in rows] == ["question-t1-r1"] * 7 + ["descriptions-t1-r8", "graph-t1-r6"]
    assert rows[-1]["what"] == "60 answers", "6 x 5 ordered pairs and 2 predicates"
    assert all(row["ours"] > 0 and row["released"] is None for row in rows)
    assert files["markdown"].read_text() == out
    with Image.open(files["picture"]) as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--checkpoint", "nowhere"), "expected the checkpoint's folder, found none at 'nowhere'"),
        (("--model", "nowhere:cpu"), "model folder 'nowhere': expected the folder of an exported model"),
        (("--mask", "m.png"), "expected --image with --mask"),
        (("--image", "i.png"), "expected at least one --mask with --image"),
        (("--case", "walk"), "invalid choice: 'walk'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], run_gar: RunGar, words: tuple[str, ...], expected: str
) -> None:
    try:
        code, _, err = run_gar("bench", "latency", *words)
    except SystemExit as error:
        code, err = int(error.code or 0), capsys.readouterr().err
    assert code == 2
    assert expected in err
    assert err.count("\n") == 1


def test_masks_are_read_as_gar_ask_reads_them(run_gar: RunGar, tmp_path: Path) -> None:
    image, bright = tmp_path / "image.png", tmp_path / "bright.png"
    Image.new("RGB", (64, 32)).save(image)
    Image.new("L", (64, 32), 255).save(bright)
    code, _, err = run_gar("bench", "latency", "--image", image, "--mask", bright)
    assert code == 2
    assert f"'{bright}': expected a mask, which is bright on black, got nothing black" in err


class Told(Side):
    """A side that writes down what it is asked."""

    def __init__(self, name: str, told: list[str]) -> None:
        super().__init__(name, [])
        self._told = told

    def measure(self, work: Work) -> Measured:
        self._told.append(f"{work.case.name} {self.name}")
        return Measured({"first": 1.0})


def measured(path: Path, **options: object) -> tuple[list[str], dict[str, int]]:
    """What two sides were asked, and how many rounds of each there are."""
    told: list[str] = []
    args = argparse.Namespace(**{"repeats": 2, "stop_after": 60.0, **options})
    with Journal(path, {}) as journal:
        results = measure(args, [CASE], [Told("a", told), Told("b/c:d", told)], journal)
    return told, {side: len(rounds) for side, rounds in results.found.get(CASE, {}).items()}


def test_sides_take_turns(tmp_path: Path) -> None:
    told, rounds = measured(tmp_path / "j")
    assert told == ["question-t1-r1 a", "question-t1-r1 b/c:d"] * 2
    assert rounds == {"a": 2, "b/c:d": 2}


def test_a_run_continues_where_the_journal_ends(tmp_path: Path) -> None:
    measured(tmp_path / "j", repeats=1)
    told, rounds = measured(tmp_path / "j")
    assert told == ["question-t1-r1 a", "question-t1-r1 b/c:d"]
    assert rounds == {"a": 2, "b/c:d": 2}


def test_nothing_begins_after_the_time_is_up(tmp_path: Path) -> None:
    assert measured(tmp_path / "j", stop_after=0.0) == ([], {})


def test_a_side_that_cannot_start_says_why(run_gar: RunGar, tmp_path: Path, checkout: Path) -> None:
    """gar-tiny has no engines for TensorRT here."""
    model = f"{checkout}/models/gar-tiny:tensorrt"
    code, _, err = run_gar("bench", "latency", "--quick", "--without-released", "--model", model)
    assert code == 2
    assert "gar: gar-tiny on tensorrt could not be measured: " in err


def test_the_picture_has_regions_that_lie_in_a_quarter_each() -> None:
    scene = drawn_scene()
    assert scene.image.shape == (720, 1280, 3)
    assert len(scene.masks) == 8
    assert [(region.box[0] // 640, region.box[1] // 360) for region in scene.regions(range(8))] == [
        ((region.box[2] - 1) // 640, (region.box[3] - 1) // 360) for region in scene.regions(range(8))
    ]


def test_a_new_frame_differs_a_little_everywhere(tmp_path: Path) -> None:
    drawn_scene().write(tmp_path / "scene.npz")
    scene = Scene.read(tmp_path / "scene.npz")
    first, second = scene.new_frame(1), scene.new_frame(2)
    difference = np.abs(first.astype(int) - second)
    assert 0 < difference.max() <= 3
    assert difference.reshape(9, 80, 16, 80, 3).max((1, 3, 4)).min() > 0, "in each square of 80 pixels"
    assert (first == scene.new_frame(1)).all()


def test_a_step_has_its_own_peak_of_memory() -> None:
    script = (
        "from gar_ros.bench.latency.worker import Recorder\n"
        "recorder = Recorder()\n"
        "with recorder.step('small'): pass\n"
        f"with recorder.step('large') as mark: data = b'1' * {300 * MIB}; mark(); del data\n"
        "with recorder.step('after'): pass\n"
        "print(*recorder.measured.peaks.values(), len(recorder.measured.marks['large']))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    small, large, after, marks = map(int, done.stdout.split())
    assert large > 300 * MIB > small
    assert after < large
    assert marks == 1


def test_the_machine_reads_and_multiplies() -> None:
    recorder = Recorder()
    recorder.count(flops=best_flops(lambda side: lambda: side, [2]))
    assert recorder.measured.counts["flops"] > 0
    assert Limits(threads=1).bandwidth() > 0
    assert dataclasses.asdict(recorder.measured)["seconds"] == {}
