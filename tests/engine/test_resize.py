# SPDX-License-Identifier: Apache-2.0
"""Resized pixels equal the released code's, to the last grey level."""

from __future__ import annotations

import numpy as np
import pytest

from gar_ros.engine.resize import bicubic, nearest, nearest_index
from tests.fixtures_golden import FindGolden


@pytest.mark.parametrize("name", ["up", "down", "mixed"])
def test_bicubic_equals_the_released_resize(golden_path: FindGolden, name: str) -> None:
    table = np.load(golden_path("tables/resize.npz"))
    expected = np.moveaxis(table[f"bicubic_out.{name}"], 2, 0)
    np.testing.assert_array_equal(bicubic(table[f"bicubic_in.{name}"], expected.shape[2], expected.shape[1]), expected)


def test_nearest_index_equals_the_released_resize(golden_path: FindGolden) -> None:
    table = np.load(golden_path("tables/resize.npz"))
    names = [name for name in table.files if name.startswith("nearest_index.")]
    assert names
    for name in names:
        size_in, size_out = map(int, name.removeprefix("nearest_index.").split("_"))
        np.testing.assert_array_equal(nearest_index(size_in, size_out), table[name], err_msg=name)


def test_bicubic_of_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    np.testing.assert_array_equal(bicubic(image, 7, 5), np.moveaxis(image, 2, 0))


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_one_colour_stays_one_colour(size: tuple[int, int]) -> None:
    colour = np.array([0, 128, 255], np.uint8)
    image = np.broadcast_to(colour, (*size, 3))
    np.testing.assert_array_equal(bicubic(image, 40, 30), np.broadcast_to(colour[:, None, None], (3, 30, 40)))


def test_bicubic_by_hand() -> None:
    """Enlarged twofold, an inner pixel a quarter from its neighbour reads -9/128, 111/128, 29/128, -3/128."""
    image = np.broadcast_to(np.array([0, 128, 0, 0], np.uint8)[None, :, None], (1, 4, 3))
    assert bicubic(image, 8, 1)[0, 0, 3] == 111
    assert bicubic(image, 8, 1)[0, 0, 4] == 29


def test_nearest_repeats_and_drops_pixels() -> None:
    canvas = np.array([[1, 2], [3, 4]], np.uint8)
    np.testing.assert_array_equal(nearest(canvas, 4, 2), [[1, 1, 2, 2], [3, 3, 4, 4]])
    np.testing.assert_array_equal(nearest(canvas, 1, 2), [[1], [3]])
