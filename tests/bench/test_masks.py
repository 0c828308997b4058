# SPDX-License-Identifier: Apache-2.0
"""COCO's three ways to write a mask, and what is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gar_ros.bench.files import Place
from gar_ros.bench.masks import check_segmentation, decode, run_lengths
from gar_ros.errors import GarError
from tests.bench.conftest import compressed

SIZE = (6, 4)  # width, height
PLACE = Place(Path("data.json"), "item 3", "mask_rles[1]")
RECTANGLE = np.zeros((4, 6), np.uint8)
RECTANGLE[1:3, 2:5] = 1


@pytest.mark.parametrize(
    "segmentation",
    [
        compressed(RECTANGLE),
        {"size": [4, 6], "counts": [9, 2, 2, 2, 2, 2, 5]},  # column by column, outside first
        [[2, 1, 5, 1, 5, 3, 2, 3]],
        [[2, 1, 4, 1, 4, 3, 2, 3], [4.0, 1.0, 5.0, 1.0, 5.0, 3.0, 4.0, 3.0]],
    ],
    ids=["compressed", "uncompressed", "polygon", "polygons"],
)
def test_decoding(segmentation: Any) -> None:
    check_segmentation(segmentation, SIZE, PLACE)
    mask = decode(segmentation, SIZE)
    assert mask.dtype == np.bool_
    np.testing.assert_array_equal(mask, RECTANGLE.astype(bool))


@pytest.mark.parametrize(
    ("segmentation", "expected"),
    [
        (None, r"': expected an RLE with 'size' and 'counts', got null"),
        ("x", r"': expected an RLE with 'size' and 'counts', got \"x\""),
        ({"counts": "x"}, r"\.size': missing"),
        ({"size": [6, 4], "counts": "x"}, r"expected 'size' \[4, 6\], the image's, got \[6, 4\]"),
        ({"size": [4, 6], "counts": ""}, "expected 'counts'"),
        ({"size": [4, 6], "counts": None}, r"\.counts': expected a text or a list, got null"),
        ({"size": [4, 6], "counts": [9.0, 15]}, r"\.counts\[0\]': expected a whole number, got 9.0"),
        ({"size": [4, 6], "counts": [True, 23]}, r"\.counts\[0\]': expected a whole number, got true"),
        ({"size": [4, 6], "counts": [9, 9]}, "of 24 pixels"),
        ({"size": [4, 6], "counts": [25, -1]}, "of 24 pixels"),
        ({"size": [4, 6], "counts": []}, "of 24 pixels"),
        ([], r"': expected an RLE or at least one polygon, got \[\]"),
        ([[1, 2, 3, 4]], r"\[0\]': expected a polygon of three or more points"),
        ({"size": [4, 6], "counts": [9 * 10**4299] * 2}, "of 24 pixels, the image's, got .*, which has a number of"),
        ([[1, 2, 3, 4, 1e9, 6]], "': expected points in or near the image of 6x4 px"),
        ([[1, 2, 3, 4, 5, -1e308]], "': expected points in or near the image of 6x4 px"),
        ([[1, 2, 3, 4, float("nan"), 6]], "': expected points in or near the image of 6x4 px"),
        ([[1, 2, 3, 4, 5, 6, 7]], "': expected two numbers for each point of a polygon"),
        ([[1, 2, 3, 4, 5, "6"]], r"\[0\]\[5\]': expected a number, got \"6\""),
        ([7], r"\[0\]': expected a polygon of three or more points \[x0, y0, x1, y1, \.\.\], got 7"),
    ],
)
def test_what_is_no_segmentation_of_the_image_is_refused(segmentation: Any, expected: str) -> None:
    with pytest.raises(GarError, match=rf"'data.json', item 3, key 'mask_rles\[1\].*{expected}"):
        check_segmentation(segmentation, SIZE, PLACE)


def test_run_lengths_are_those_of_pycocotools() -> None:
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (1, 5), (7, 3), (48, 64), (300, 200)):
        for mask in (np.zeros((height, width)), np.ones((height, width)), rng.integers(0, 2, (height, width))):
            blocks = np.kron(mask, np.ones((3, 3))).astype(np.uint8)  # runs of many lengths
            flat = blocks.T.ravel()
            starts = np.flatnonzero(np.diff(flat)) + 1
            expected = np.diff([0, *([0] if flat[0] else []), *starts, flat.size]).tolist()
            assert run_lengths(compressed(blocks)["counts"]) == expected


def test_run_lengths_of_released_masks_fill_their_images(shared: Path) -> None:
    items = json.loads((shared / "gar_bench/released_predictions/gar_1b_vqa.json").read_text())
    rles = [rle for item in items for rle in item["mask_rles"]]
    assert len(rles) > 424
    assert all(sum(run_lengths(rle["counts"])) == rle["size"][0] * rle["size"][1] for rle in rles)


@pytest.mark.parametrize("counts", ["1", "d3", "oooooo", "é!!", "0", "Q1", "H@", "\x00", "S1o"])
def test_run_lengths_that_do_not_fill_the_image_are_refused(counts: str) -> None:
    with pytest.raises(GarError, match=r"key 'mask_rles\[1\]': expected 'counts' of 24 pixels, the image's, got"):
        check_segmentation({"size": [4, 6], "counts": counts}, SIZE, PLACE)


def test_a_number_without_end_is_refused_at_once() -> None:
    with pytest.raises(GarError, match="expected 'counts' of 24 pixels"):
        check_segmentation({"size": [4, 6], "counts": "o" * 1_000_000}, SIZE, PLACE)


_RUNS = st.lists(st.integers(0, 12), max_size=9)
_SEGMENTATIONS = st.one_of(
    st.builds(lambda counts: {"size": [4, 6], "counts": counts}, st.text(st.characters(max_codepoint=130), max_size=9)),
    st.builds(lambda counts: {"size": [4, 6], "counts": counts}, _RUNS),
    _RUNS.filter(lambda runs: sum(runs) <= 24).map(lambda runs: {"size": [4, 6], "counts": [*runs, 24 - sum(runs)]}),
    st.lists(st.lists(st.floats(-30, 30) | st.integers(), max_size=12), max_size=3),
)


@given(_SEGMENTATIONS)
def test_any_segmentation_is_a_mask_of_the_image_or_refused(segmentation: Any) -> None:
    try:
        check_segmentation(segmentation, SIZE, PLACE)
    except GarError:
        return
    mask = decode(segmentation, SIZE)
    assert mask.shape == (4, 6)
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        runs = run_lengths(counts) if isinstance(counts, str) else counts
        assert mask.T.ravel().tolist() == [number % 2 == 1 for number, run in enumerate(runs) for _ in range(run)]


def test_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    monkeypatch.delitem(sys.modules, "pycocotools.mask", raising=False)
    with pytest.raises(GarError, match="pip install pycocotools"):
        decode(compressed(RECTANGLE), SIZE)
