"""Reading the golden cases (see golden/README.md)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SINGLE_FRAME = ("cases/one_tile", "cases/tiles_wide", "cases/three_prompts", "cases_8b_like/border")
TILE = 448
GRID = 16


@dataclass(frozen=True)
class GoldenCase:
    """One picture with its masks, what the released code was told about it, and what it computed."""

    image: NDArray[np.uint8]  # (H, W, 3)
    masks: list[NDArray[np.bool_]]  # (H, W)
    info: dict[str, Any]
    arrays: Any

    @property
    def grid(self) -> tuple[int, int]:
        tiles_w, tiles_h = self.info["aspect_ratio_wh"]
        return tiles_w, tiles_h

    @property
    def prompt_numbers(self) -> list[int]:
        return [1] if self.info["kind"] == "caption" else list(range(len(self.masks)))


def golden_case(shared: Path, name: str) -> GoldenCase:
    folder = shared / "golden" / name
    masks = [np.asarray(Image.open(path).convert("L")) != 0 for path in sorted(folder.glob("mask_*.png"))]
    image = np.asarray(Image.open(folder / "image.png").convert("RGB"))
    return GoldenCase(image, masks, json.loads((folder / "case.json").read_text()), np.load(folder / "arrays.npz"))
