# SPDX-License-Identifier: Apache-2.0
"""DLC-Bench: one caption for each annotation of a COCO file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gar_ros.bench.dlc_bench import read_jobs
from gar_ros.errors import GarError
from tests.bench.conftest import RunGar, compressed, save_picture, squares

POLYGON = [[1, 10, 6, 10, 6, 16, 1, 16]]


def coco_file(folder: Path) -> dict[str, Any]:
    """Two pictures, three annotations, the second picture's first."""
    save_picture(folder / "images/a.png", 1)
    save_picture(folder / "images/b.png", 2)
    first, second, _ = squares(3)
    return {
        "images": [{"id": 4, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {"id": 31, "image_id": 2, "segmentation": compressed(first)},
            {"id": 12, "image_id": 4, "segmentation": compressed(second)},
            {"id": 7, "image_id": 4, "segmentation": POLYGON},
        ],
    }


def written(folder: Path, data: object) -> Path:
    path = folder / "annotations.json"
    path.write_text(json.dumps(data))
    return path


def test_captions_by_annotation_id_image_by_image(run_gar: RunGar, gar_tiny: Path, tmp_path: Path) -> None:
    data, out = written(tmp_path, coco_file(tmp_path)), tmp_path / "captions.json"
    words = ["bench", "dlc-bench", "--data", data, "--images", tmp_path / "images", "--model", gar_tiny, "--out", out]
    assert run_gar(*words, "--max-tiles", 1, "--max-tokens", 12, "--limit", 2)[0] == 0
    assert list(json.loads(out.read_text())) == ["12", "7"]
    code, printed, err = run_gar(*words, "--max-tiles", 1, "--max-tokens", 12)
    assert code == 0
    captions = json.loads(out.read_text())
    assert list(captions) == ["12", "7", "31"]
    assert all(isinstance(caption, str) and caption for caption in captions.values())
    assert printed.startswith("answered: 3 of 3 items\n")
    assert err.startswith("continuing: 2 of 3 items")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data.pop("annotations"), "key 'annotations': missing"),
        (lambda data: data.update(annotations=[]), "key 'annotations': expected a list of at least one annotation"),
        (lambda data: data["annotations"].append(1), "annotations 3: expected an object, got 1"),
        (lambda data: data["annotations"][1].pop("segmentation"), "annotations 1, key 'segmentation': missing"),
        (lambda data: data["annotations"][1].update(segmentation=[]), "annotations 1, key 'segmentation': expected"),
        (lambda data: data["annotations"][1].update(id=31), "annotations 1, key 'id': repeats the id 31"),
        (lambda data: data["annotations"][1].update(image_id=5), "annotations 1, key 'image_id': 'images' has no id 5"),
        (lambda data: data["images"][1].update(id=4), "images 1, key 'id': repeats the id 4 of images 0"),
        (lambda data: data["images"][1].update(file_name="c.png"), "images 1, key 'file_name': can't be read"),
    ],
)
def test_bad_annotations_are_named(tmp_path: Path, change: Any, expected: str) -> None:
    data = coco_file(tmp_path)
    change(data)
    with pytest.raises(GarError) as caught:
        read_jobs(written(tmp_path, data), tmp_path / "images", 5)
    assert expected in caught.value.message


def test_a_list_is_no_coco_file(tmp_path: Path) -> None:
    with pytest.raises(GarError, match="expected an object with 'images' and 'annotations', got"):
        read_jobs(written(tmp_path, [1]), tmp_path, 5)
