# SPDX-License-Identifier: Apache-2.0
"""Resized pixels equal the released code's, to the last grey level."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

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


def keys_cubic(x: float) -> float:
    """Keys' cubic with a = -0.5."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def plainly_resized(line: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """A line (n, ...) resized to (size, ...), one output pixel after the other, in double precision."""
    scale = len(line) / size
    wide = max(scale, 1.0)
    result = np.empty((size, *line.shape[1:]))
    for index in range(size):
        center = (index + 0.5) * scale
        near = range(max(math.floor(center - 2 * wide + 0.5), 0), min(math.floor(center + 2 * wide + 0.5), len(line)))
        weights = np.array([keys_cubic((pixel - center + 0.5) / wide) for pixel in near])
        result[index] = np.tensordot(weights / weights.sum(), line[near.start : near.stop], 1)
    return result


SIZES = [
    (1, 1, 9, 5),
    (1, 70, 40, 33),
    (90, 1, 7, 41),
    (3, 2, 100, 1),
    (37, 53, 64, 48),
    (200, 31, 11, 90),
    (64, 700, 65, 9),
]


@pytest.mark.parametrize(("height", "width", "new_height", "new_width"), SIZES)
def test_bicubic_is_the_plain_sum_of_taps(height: int, width: int, new_height: int, new_width: int) -> None:
    """Where the sum isn't nearly halfway between two levels, whatever the order of the taps."""
    image = np.random.default_rng(height * width).choice([0, 20, 77, 255], (height, width, 3)).astype(np.uint8)
    along_rows = plainly_resized(image.astype(np.float64).swapaxes(0, 1), new_width).swapaxes(0, 1)
    exact = np.moveaxis(plainly_resized(along_rows, new_height), 2, 0)
    clear = np.abs(exact - np.floor(exact) - 0.5) > 1e-3
    found = bicubic(image, new_width, new_height)
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[clear], np.rint(exact.clip(0, 255))[clear])
    assert np.abs(found - exact.clip(0, 255)).max() < 0.502


@pytest.mark.parametrize("threads", [0, 3])
def test_threads_change_no_pixel(threads: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (123, 77, 3), np.uint8)
    np.testing.assert_array_equal(bicubic(image, 200, 150, threads), bicubic(image, 200, 150))


def test_views_are_resized_as_their_copies() -> None:
    image = np.random.default_rng(2).integers(0, 256, (40, 60, 4), np.uint8)[::2, 5:, 2::-1]
    np.testing.assert_array_equal(bicubic(image, 50, 30), bicubic(image.copy(), 50, 30))


def test_nearest_repeats_and_drops_pixels() -> None:
    canvas = np.array([[1, 2], [3, 4]], np.uint8)
    np.testing.assert_array_equal(nearest(canvas, 4, 2), [[1, 1, 2, 2], [3, 3, 4, 4]])
    np.testing.assert_array_equal(nearest(canvas, 1, 2), [[1], [3]])
