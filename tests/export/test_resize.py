# SPDX-License-Identifier: Apache-2.0
"""Resized pixels equal torch's own, to the last grey level, for sizes that nobody chose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from gar_ros.engine.resize import bicubic

EXTREMES = [(1, 1, 448, 448), (1, 2, 3, 1), (3000, 1, 448, 20), (2, 2500, 300, 448), (2160, 300, 448, 1344)]


def by_torch(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """(3, height, width): in float32, rounded once, as torchvision resizes images of uint8."""
    values = torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().float()
    resized = F.interpolate(values, (height, width), mode="bicubic", align_corners=False, antialias=True)
    return resized.clamp(0, 255).round().to(torch.uint8)[0].numpy()


def random_sizes(count: int) -> list[tuple[int, int, int, int]]:
    rng = np.random.default_rng(5)
    return [tuple(int(size) for size in np.exp(rng.uniform(0, np.log(900), 4)) + 1) for _ in range(count)]  # type: ignore[misc]


@pytest.mark.parametrize(("height", "width", "new_height", "new_width"), [*EXTREMES, *random_sizes(40)])
def test_bicubic_equals_torch(height: int, width: int, new_height: int, new_width: int) -> None:
    """Noise from black to white, whose sums lose most digits, and few levels, whose sums are often halfway."""
    rng = np.random.default_rng(height + width)
    for image in (
        rng.integers(0, 256, (height, width, 3), np.uint8),
        rng.choice(np.array([0, 1, 254, 255], np.uint8), (height, width, 3)),
    ):
        np.testing.assert_array_equal(
            bicubic(image, new_width, new_height, threads=2), by_torch(image, new_width, new_height)
        )
