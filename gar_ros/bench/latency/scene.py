# SPDX-License-Identifier: Apache-2.0
"""The picture with its regions that all sides are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gar_ros.region import Region

WIDTH, HEIGHT = 1280, 720
"""Pixels of the picture that is drawn where none is given."""

_DISCS = (
    (250, 170, 60),
    (420, 260, 45),
    (880, 150, 55),
    (1060, 280, 70),
    (180, 520, 65),
    (470, 600, 50),
    (820, 560, 60),
    (1120, 470, 40),
)
"""Centre and radius, pixels: two objects in each quarter of the picture, none across its middle lines."""
_NOISE = 4  # grey levels


@dataclass(frozen=True, eq=False)
class Scene:
    """image: (H, W, 3) uint8 RGB. masks: (N, H, W) bool."""

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]

    @classmethod
    def read(cls, path: Path) -> Scene:
        """From the file that `write` has made."""
        with np.load(path) as arrays:
            return cls(arrays["image"], arrays["masks"])

    def write(self, path: Path) -> None:
        """Into an .npz file."""
        np.savez(path, image=self.image, masks=self.masks)

    def new_frame(self, number: int) -> NDArray[np.uint8]:
        """The image with noise of a few grey levels all over, so that every tile of it is one that nobody has seen."""
        noise = np.random.default_rng(number).integers(0, _NOISE, self.image.shape, np.uint8)
        return np.where(self.image > 255 - _NOISE, self.image - noise, self.image + noise).astype(np.uint8)

    def regions(self, which: Sequence[int]) -> list[Region]:
        """The regions of some of the masks, by index; ids are the indexes."""
        return [Region.from_mask(str(index), self.masks[index]) for index in which]

    def asked(self, count: int) -> list[int]:
        """Which `count` regions the first question is about."""
        return list(range(min(count, len(self.masks))))

    def others(self, count: int) -> list[int]:
        """Which `count` regions are asked about afterwards: the last ones, so as few of the first as possible."""
        return list(range(len(self.masks)))[-count:]


def drawn_scene() -> Scene:
    """A picture of 1280 x 720 pixels with eight small discs on a gradient, always the same one."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    image = np.stack([40 + 150 * x // WIDTH, 60 + 120 * y // HEIGHT, 90 + (x // 8 + y // 8) % 2 * 30], 2)
    masks = np.stack([(x - cx) ** 2 + (y - cy) ** 2 < radius**2 for cx, cy, radius in _DISCS])
    for number, mask in enumerate(masks):
        image[mask] = (60 + 20 * number, 220 - 22 * number, 40 + 25 * (number % 4))
    return Scene(image.astype(np.uint8), masks)
