# SPDX-License-Identifier: Apache-2.0
"""`gar annotate --ray` and `gar bench --ray` with the shipped model, on a real cluster of two workers."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gar_ros.cli.main import main
from tests.bag.small_bags import record, scene
from tests.bench.conftest import HEIGHT, WIDTH, write_items, write_video
from tests.bench.test_videorefer import CLIP, FRAMES, item
from tests.processes import ChildProcess, StartProcess, process_starter, session_members

pytestmark = pytest.mark.usefixtures("minutes")
GAR = (sys.executable, "-m", "gar_ros.cli.main")
BAGS = ("day/a", "day/b", "day/c", "night/a")
IMAGES = 25
TIMEOUT = 500
"""Seconds; a busy machine takes long to start Ray."""


@pytest.fixture(scope="module")
def minutes() -> None:
    """Starting Ray takes long, see tests/parts.py."""


class Finished(NamedTuple):
    """A run of which a worker was killed. whole: the damaged bag's file as it should be."""

    code: int
    log: str
    drives: Path
    out: Path
    whole: bytes


def command(drives: Path, out: Path, *words: object) -> list[str]:
    options = ["--every", "0", "--threads", "1", "--question", "What is <Prompt0>?", "--max-tokens", "2"]
    return ["annotate", str(drives), "--out", str(out), *options, *map(str, words)]


def on_ray(out: Path) -> list[str]:
    return ["--table", f"{out}.parquet", "--ray", "local", "--workers", "2"]


def unfinished(out: Path) -> list[Path]:
    """Folders of bags that are being written; the file of the settings is for a moment called so, too."""
    return [path for path in out.rglob(".*.part") if path.is_dir()]


@pytest.fixture(scope="module")
def drives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """Four bags and a damaged one, and the file that this should be."""
    folder = tmp_path_factory.mktemp("recorded") / "drives"
    for number, name in enumerate(BAGS):
        record(folder / name, scene(IMAGES, number=1 + IMAGES * number))
    (file,) = record(folder / "night/bad", scene(2)).glob("*.mcap")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    return folder, whole


@pytest.fixture(scope="module")
def finished(drives: tuple[Path, bytes], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("on_ray")
    out = folder / "out"
    with process_starter(folder) as start:
        child: ChildProcess = start(*GAR, *command(drives[0], out, *on_ray(out)))
        child.wait_until(lambda: bool(unfinished(out)), TIMEOUT, "a worker writes a bag")
        # The folder is called by the process that writes it.
        (worker,) = {int(found[1]) for found in [re.search(r"\.(\d+)\.part$", unfinished(out)[0].name)] if found}
        os.kill(worker, signal.SIGKILL)
        yield Finished(child.wait(TIMEOUT), child.log, drives[0], out, drives[1])


def files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_all_bags_are_done_though_a_worker_was_killed(finished: Finished) -> None:
    assert finished.code == 1, finished.log  # for the damaged bag
    assert {str(path.parent.relative_to(finished.out)) for path in finished.out.rglob("metadata.yaml")} == set(BAGS)
    assert f"{IMAGES * 4} answers about {IMAGES * 4} images in 4 new bags" in finished.log
    assert unfinished(finished.out) == []


def test_a_damaged_bag_stands_in_the_summary(finished: Finished) -> None:
    assert re.search(r"gar: night/bad: not written: .*is damaged", finished.log)
    assert "1 of 5 bags are not written" in finished.log


def test_without_ray_the_bytes_are_the_same(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(command(finished.drives, out, "--table", f"{out}.parquet")) == 1
    assert files(out) == files(finished.out)
    assert Path(f"{out}.parquet").read_bytes() == Path(f"{finished.out}.parquet").read_bytes()


def test_a_second_run_does_what_is_missing(finished: Finished, start_process: StartProcess) -> None:
    before = {name: (finished.out / name).stat().st_mtime_ns for name in BAGS}
    (finished.drives / "night/bad/bad.mcap").write_bytes(finished.whole)
    child = start_process(*GAR, *command(finished.drives, finished.out, *on_ray(finished.out)))
    assert child.wait(TIMEOUT) == 0, child.log
    assert "continuing: 4 of 5 bags" in child.log
    assert {name: (finished.out / name).stat().st_mtime_ns for name in BAGS} == before
    assert (finished.out / "night/bad/metadata.yaml").exists()
    assert f"{IMAGES * 4 + 2} rows in" in child.log


def test_ctrl_c_leaves_no_half_bag_and_no_process(
    drives: tuple[Path, bytes], tmp_path: Path, start_process: StartProcess
) -> None:
    out = tmp_path / "out"
    child = start_process(*GAR, *command(drives[0], out, *on_ray(out)))
    child.wait_until(lambda: bool(unfinished(out)), TIMEOUT, "a worker writes a bag")
    assert child.interrupt(TIMEOUT) == 130, child.log
    assert re.search(r"interrupted: \d of 5 bags are in", child.log)
    assert "Traceback" not in child.log
    assert unfinished(out) == []
    deadline = time.monotonic() + TIMEOUT  # helpers of Ray that were still starting end once they look for their parent
    while session_members(child.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert session_members(child.pid) == []
    assert not Path(f"{out}.parquet").exists()


def test_a_benchmark_writes_the_same_predictions(checkout: Path, tmp_path: Path, start_process: StartProcess) -> None:
    write_items(tmp_path, [1] * 6)
    options = ["bench", "gar-bench", "--data", tmp_path, "--model", checkout / "models/gar-tiny", "--threads", 1]
    child = start_process(*GAR, *options, "--out", tmp_path / "ray.json", "--ray", "local", "--workers", "2")
    assert child.wait(TIMEOUT) == 0, child.log
    assert main([str(word) for word in (*options, "--out", tmp_path / "here.json")]) == 0
    assert (tmp_path / "ray.json").read_bytes() == (tmp_path / "here.json").read_bytes()
    assert len(json.loads((tmp_path / "ray.json").read_text())) == 6


def test_a_bad_item_of_a_benchmark_costs_only_itself(
    checkout: Path, tmp_path: Path, start_process: StartProcess
) -> None:
    videos, model = tmp_path / "videos", checkout / "models/gar-tiny"
    videos.mkdir()
    frames = np.random.default_rng(1).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    write_video(videos / CLIP, list(frames))
    (videos / "cut.mp4").write_bytes((videos / CLIP).read_bytes()[:400])
    data = videos / "questions.json"
    data.write_text(json.dumps([item(), item(video="cut.mp4"), item()]))
    options = ["bench", "videorefer", "--data", data, "--model", model, "--max-tokens", 4]
    child = start_process(*GAR, *options, "--out", tmp_path / "ray.jsonl", "--ray", "local", "--workers", "2")
    assert child.wait(TIMEOUT) == 0, child.log
    assert f"skipped: '{data}', item 1" in child.log
    assert "answered: 2 of 3 items" in child.log
    assert main([str(word) for word in (*options, "--out", tmp_path / "here.jsonl")]) == 0
    assert (tmp_path / "ray.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
