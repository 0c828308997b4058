# SPDX-License-Identifier: Apache-2.0
"""The tile rule, pixels and mask ids against the released code's."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from gar_ros.engine.tiling import mask_ids, normalise, prompted, tile_grid, tile_pixels
from tests.engine.golden import CASES, TILE
from tests.fixtures_golden import FindCase, FindGolden


def test_every_row_of_the_released_arrangements(golden_path: FindGolden) -> None:
    rows = json.loads(golden_path("tables/tile_arrangement.json").read_text())["rows"]
    wrong = [row for row in rows if tile_grid(row[0], row[1], row[2], TILE) != (row[3], row[4])]
    assert len(rows) > 100
    assert wrong == []


@pytest.mark.parametrize(
    ("width", "height", "expected"), [(640, 480, (2, 2)), (1, 1, (2, 2)), (2000, 10, (4, 1)), (10, 2000, (1, 4))]
)
def test_arrangement_of_small_tiles(width: int, height: int, expected: tuple[int, int]) -> None:
    assert tile_grid(width, height, max_tiles=4, tile=192) == expected


@pytest.mark.parametrize("name", CASES)
def test_tiles_equal_the_released_ones(golden_case: FindCase, name: str) -> None:
    case = golden_case(name)
    if not case.video:
        height, width = case.images[0].shape[:2]
        assert tile_grid(width, height, case.info["max_num_tiles"], TILE) == case.grid
        np.testing.assert_array_equal(case.pixels[:, :, 5::37, 3::41], case.arrays["pixel_u8_sample"])
    if "pixel_u8" in case.arrays:
        np.testing.assert_array_equal(case.pixels, case.arrays["pixel_u8"])
    hashes = case.info["sha256"]
    assert hashlib.sha256(case.pixels.tobytes()).hexdigest() == hashes["pixel_u8"]
    values = normalise(case.pixels, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    if "pixel_values_fp32" in hashes:
        assert hashlib.sha256(values.tobytes()).hexdigest() == hashes["pixel_values_fp32"]


@pytest.mark.parametrize("name", CASES)
def test_mask_ids_equal_the_released_ones(golden_case: FindCase, name: str) -> None:
    case = golden_case(name)
    np.testing.assert_array_equal(case.mask_ids, case.arrays["mask_ids"])
    assert hashlib.sha256(case.mask_ids.tobytes()).hexdigest() == case.info["sha256"]["mask_ids"]


def test_earlier_masks_cover_later_ones() -> None:
    left, both = np.array([[True, False]]), np.array([[True, True]])
    np.testing.assert_array_equal(mask_ids([left, both], [0, 1], (1, 1), 2, thumbnail=False), [[[0, 1], [0, 1]]])
    np.testing.assert_array_equal(mask_ids([both, left], [0, 1], (1, 1), 2, thumbnail=False), [[[0, 0], [0, 0]]])


def test_the_union_of_any_number_of_masks_is_prompted() -> None:
    masks = [np.arange(600).reshape(1, 600) == number for number in range(300)]
    tiles = prompted(masks, (2, 1), 300)
    assert tiles.shape == (3, 300, 300)
    assert (tiles[1].all(), tiles[2].any()) == (True, False)
    np.testing.assert_array_equal(tiles[0], np.broadcast_to(np.arange(300) < 150, (300, 300)))


@pytest.mark.parametrize(("grid", "thumbnail"), [((3, 2), True), ((3, 2), False), ((1, 1), True)])
def test_what_is_prompted_is_what_has_a_number(grid: tuple[int, int], thumbnail: bool) -> None:
    masks = list(np.random.default_rng(0).random((3, 41, 67)) < 0.2)
    numbers = mask_ids(masks, [0, 1, 2], grid, 16, thumbnail)
    np.testing.assert_array_equal(prompted(masks, grid, 16, thumbnail), numbers != 5)


def test_tiles_are_row_major_after_the_thumbnail() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[:2, 2:] = 100
    image[2:, :2] = 200
    tiles = tile_pixels(image, (2, 2), 2)
    assert tiles.shape == (5, 3, 2, 2)
    np.testing.assert_array_equal(tiles[1:, 0, 0, 0], [0, 100, 200, 0])


@pytest.mark.parametrize("size", [(1, 1), (200, 1), (1, 200)])
def test_extreme_images_have_tiles(size: tuple[int, int]) -> None:
    width, height = size
    grid = tile_grid(width, height, 4, 8)
    assert tile_pixels(np.full((height, width, 3), 7, np.uint8), grid, 8).min() == 7
