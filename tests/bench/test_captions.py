# SPDX-License-Identifier: Apache-2.0
"""Ferret-Bench and MDVP-Bench through the shipped gar-tiny, in the formats of GAR's released evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gar_ros.bench.files import Place, load_picture
from gar_ros.bench.masks import decode
from gar_ros.engine.engine import GarEngine
from gar_ros.region import Region
from tests.bench.conftest import HEIGHT, WIDTH, RunGar, compressed, save_picture, squares

POLYGON = [[1.5, 10.25, 6.0, 10.25, 6.0, 16.5, 1.5, 16.5]]
FIRST, SECOND, EMPTY = (compressed(mask) for mask in (*squares(2), squares(1)[0] * 0))


def ferret(number: int, segmentation: object = None) -> dict[str, Any]:
    return {
        "question_id": number,
        "image": f"{number}.png",
        "category": "description",
        "text": "What is the interaction between the object <region> and its surroundings?",
        "annotation": {"bbox": [1.5, 10.25, 4.5, 6.25], "segmentation": segmentation or POLYGON},
    }


def mdvp(number: int, segmentation: object = None) -> dict[str, Any]:
    return {
        "image_path": f"{number}.png",
        "mask_rle": segmentation or FIRST,
        "dataset_name": "natural_detailed_caption_box",
        "question": "Please provide a detailed description of each marked region in the image.",
        "caption": f"What people wrote of {number}.",
    }


Item = Callable[..., dict[str, Any]]
BENCHMARKS = pytest.mark.parametrize(("benchmark", "item"), [("ferret-bench", ferret), ("mdvp-bench", mdvp)])


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(3):
        save_picture(tmp_path / f"images/{number}.png", number)
    return tmp_path / "images"


def write_items(images: Path, *items: Any) -> Path:
    path = images.parent / "items.json"
    path.write_text(json.dumps(items))
    return path


def command(benchmark: str, model: Path, images: Path, *more: object) -> list[object]:
    data, out = images.parent / "items.json", images.parent / "out.json"
    options = ["--data", data, "--images", images, "--model", model, "--out", out, "--max-tokens", 8]
    return ["bench", benchmark, *options, *more]


def predictions(images: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((images.parent / "out.json").read_text())
    return found


def test_ferret_bench_gives_image_annotation_and_caption(run_gar: RunGar, gar_tiny: Path, images: Path) -> None:
    items = [ferret(1), ferret(0, SECOND)]
    write_items(images, *items)
    code, printed, err = run_gar(*command("ferret-bench", gar_tiny, images))
    assert code == 0
    assert printed.startswith("answered: 2 of 2 items\n")
    assert err.startswith("2 of 2 items, ")
    found = predictions(images)
    assert [one.pop("caption") != "" for one in found] == [True, True]
    assert found == [{"image_path": str(images / item["image"]), "annotation": item["annotation"]} for item in items]


def test_mdvp_bench_gives_image_caption_and_what_people_wrote(run_gar: RunGar, gar_tiny: Path, images: Path) -> None:
    items = [mdvp(2), mdvp(0, SECOND)]
    write_items(images, *items)
    assert run_gar(*command("mdvp-bench", gar_tiny, images))[0] == 0
    found = predictions(images)
    assert [one.pop("caption") != "" for one in found] == [True, True]
    assert found == [{"image_path": str(images / item["image_path"]), "gt": item["caption"]} for item in items]


@BENCHMARKS
def test_the_region_is_described_with_the_released_caption_prompt(
    run_gar: RunGar, gar_tiny: Path, images: Path, benchmark: str, item: Item
) -> None:
    data = write_items(images, item(1, SECOND))
    assert run_gar(*command(benchmark, gar_tiny, images))[0] == 0
    engine = GarEngine.open(gar_tiny, "cpu")
    region = Region.from_mask("Prompt0", decode(SECOND, (WIDTH, HEIGHT)))
    expected = engine.encode(load_picture(images / "1.png", Place(data)), [region]).describe(8)
    record = json.loads((images.parent / "out.json.jsonl").read_text().splitlines()[1])
    assert (record["output"], record["confidence"]) == (expected.text, round(expected.confidence, 4))


@BENCHMARKS
@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (lambda item: 7, "expected an object, got 7"),
        (lambda item: {}, "missing"),
        (lambda item: {**item(1), "image": "\ud800", "image_path": "\ud800"}, "surrogates not allowed"),
        (lambda item: item(9), "can't be read as a picture"),
        (lambda item: item(1, {"size": [9, 9], "counts": "Y2"}), "expected 'size' [48, 64], the image's, got [9, 9]"),
        (lambda item: item(1, [[1, 2, 3]]), "expected a polygon of three or more points"),
        (lambda item: item(1, EMPTY), "expected a mask with a pixel inside, got none in 64x48 px"),
    ],
)
def test_a_bad_item_costs_itself_and_stands_in_the_summary(
    run_gar: RunGar,
    gar_tiny: Path,
    images: Path,
    benchmark: str,
    item: Item,
    bad: Callable[[Item], Any],
    expected: str,
) -> None:
    data = write_items(images, item(0), bad(item), item(2))
    code, printed, err = run_gar(*command(benchmark, gar_tiny, images))
    assert code == 0
    (told,) = [line for line in err.splitlines() if line.startswith("skipped: ")]
    assert told.startswith(f"skipped: '{data}', item 1")
    assert expected in told
    assert "answered: 2 of 3 items\nunanswered: 1, " in printed
    captions = [one["caption"] for one in predictions(images)]
    assert [caption == "" for caption in captions] == [False, True, False]
    assert expected in predictions(images)[1]["unanswered"]


@BENCHMARKS
def test_a_run_continues_and_asks_what_was_mended(
    run_gar: RunGar, gar_tiny: Path, images: Path, benchmark: str, item: Item
) -> None:
    write_items(images, item(0), item(9), item(2))
    assert "answered: 1 of 2 items" in run_gar(*command(benchmark, gar_tiny, images, "--limit", 2))[1]
    save_picture(images / "9.png", 9)
    code, printed, err = run_gar(*command(benchmark, gar_tiny, images))
    assert code == 0
    assert err.startswith("continuing: 1 of 3 items are answered")
    assert printed.startswith("answered: 3 of 3 items\n")
    assert len(predictions(images)) == 3


@BENCHMARKS
def test_a_folder_that_is_not_there_is_told(
    run_gar: RunGar, gar_tiny: Path, images: Path, benchmark: str, item: Item
) -> None:
    write_items(images, item(0))
    code, printed, err = run_gar(*command(benchmark, gar_tiny, images, "--images", "none"))
    assert (code, printed) == (2, "")
    assert err == "gar: 'none': expected the folder of the images, found none\n"
