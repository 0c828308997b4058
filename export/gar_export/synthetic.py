# SPDX-License-Identifier: Apache-2.0
"""A picture and a question about it that need no files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.model_dir.manifest import Sizes
from gar_ros.region import Region

QUESTION = "Is <Prompt0> larger than <Prompt1>?"


def synthetic_image(sizes: Sizes) -> tuple[NDArray[np.uint8], list[Region]]:
    """An RGB image of about two tiles with a disc and a box on a gradient, and their regions."""
    height, width = sizes.tile * 9 // 10, sizes.tile * 9 // 5
    y, x = np.mgrid[:height, :width]
    image = np.stack([255 * x // width, 255 * y // height, (x + y) % 256], axis=2).astype(np.uint8)
    disc = (x - width // 3) ** 2 + (y - height // 2) ** 2 < (height // 4) ** 2
    box = (x > width * 5 // 8) & (x < width * 7 // 8) & (y > height // 5) & (y < height // 2)
    image[disc], image[box] = (200, 30, 40), (30, 60, 220)
    return image, [Region.from_mask("disc", disc), Region.from_mask("box", box)]
