# SPDX-License-Identifier: Apache-2.0
"""What a camera or a detector changes."""

from __future__ import annotations

import numpy as np
import pytest

from gar_export.train.pixels import camera_noise, compressed, detector_mask


@pytest.mark.parametrize("seed", range(12))
def test_a_detectors_mask_is_never_empty_and_stays_close(seed: int) -> None:
    mask = np.zeros((20, 20), bool)
    mask[9, 9] = True  # erosion alone would lose it
    changed = detector_mask(mask, np.random.default_rng(seed), changed=1.0)
    rows, columns = np.nonzero(changed)
    assert rows.size > 0
    assert np.abs(rows - 9).max() <= 3 and np.abs(columns - 9).max() <= 3


def test_masks_stay_as_they_are_when_nothing_is_to_change() -> None:
    mask = np.eye(8, dtype=bool)
    assert np.array_equal(detector_mask(mask, np.random.default_rng(0), changed=0.0), mask)


def test_camera_noise_keeps_black_dark_and_stays_in_range() -> None:
    tiles = np.zeros((2, 3, 8, 8), np.uint8)
    tiles[1] = 255
    noisy = camera_noise(tiles, np.random.default_rng(1))
    assert noisy.dtype == np.float32 and noisy.shape == tiles.shape
    assert noisy.min() >= 0 and noisy.max() <= 255
    assert noisy[0].mean() < 10 < 200 < noisy[1].mean()


def test_jpeg_keeps_the_channels_in_order() -> None:
    picture = np.zeros((3, 32, 32), np.uint8)
    picture[0] = 200  # red
    result = compressed(picture, np.random.default_rng(0))
    assert result.shape == picture.shape
    assert np.abs(result.mean((1, 2)) - [200, 0, 0]).max() < 8
