# SPDX-License-Identifier: Apache-2.0
"""Small changes of pixels and masks, as a camera or a detector would make them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

JPEG_SHARE = 0.25  # of the pictures
JPEG_QUALITY = (40, 95)
MAX_EDGE_SHIFT = 3  # pixels of the tile by which a mask is eroded or dilated


def photographed(tile: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """(3, S, S) uint8 pixels to float32 0..255, as another camera with other light would give them, JPEG or not."""
    return camera_noise(compressed(tile, rng) if rng.random() < JPEG_SHARE else tile, rng)


def camera_noise(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """(..., 3, H, W) uint8 to float32 0..255 of another exposure, white balance and noise."""
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.96, 1.04, 3).astype(np.float32)
    changed = pixels.astype(np.float32) * gain.astype(np.float32)[:, None, None]
    if rng.random() < 0.3:
        changed += rng.normal(0, rng.uniform(1, 6), changed.shape).astype(np.float32)
    return np.clip(changed, 0, 255)


def compressed(tile: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """(3, H, W) uint8 after JPEG of random quality."""
    quality = int(rng.integers(*JPEG_QUALITY))
    _, code = cv2.imencode(
        ".jpg", np.ascontiguousarray(tile[::-1].transpose(1, 2, 0)), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8).transpose(2, 0, 1)[::-1]


def detector_mask(mask: NDArray[np.bool_], rng: np.random.Generator, changed: float) -> NDArray[np.bool_]:
    """The mask (H, W) as a detector might give it: with probability `changed` eroded, dilated, shifted or as its box.

    Never empty when `mask` isn't.
    """
    if rng.random() >= changed:
        return mask
    how, amount = rng.integers(4), int(rng.integers(1, MAX_EDGE_SHIFT + 1))
    kernel = np.ones((2 * amount + 1, 2 * amount + 1), np.uint8)
    if how == 0:
        result = cv2.erode(mask.view(np.uint8), kernel) > 0
    elif how == 1:
        result = cv2.dilate(mask.view(np.uint8), kernel) > 0
    elif how == 2:
        result = np.roll(mask, (int(rng.integers(-amount, amount + 1)), int(rng.integers(-amount, amount + 1))), (0, 1))
    else:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        result = np.zeros_like(mask)
        result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    return result if result.any() else mask
