# SPDX-License-Identifier: Apache-2.0
"""Reading the golden cases (see golden/README.md): whatever case folders there are, images and videos alike.

GAR_GOLDEN names another folder of the same layout to read the cases from; what it lacks (checkpoints, tables) is taken
from the golden folder beside the checkout.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.replay import RoiConvention
from gar_ros.engine.tiling import Grid, mask_ids, tile_pixels
from gar_ros.pictures.files import load_image, load_mask

TILE = 448
GRID = 16
BOS = 128000

_SHARED = (Path(__file__).resolve().parents[2] / "../shared/golden").resolve()
_FOLDERS = [Path(folder).resolve() for folder in (os.environ.get("GAR_GOLDEN"), _SHARED) if folder]


def _case_names() -> list[str]:
    """Folders of cases, such as cases/one_tile; without golden data one name that no test gets beyond."""
    found = sorted(str(path.parent.relative_to(_FOLDERS[0])) for path in _FOLDERS[0].glob("*/*/case.json"))
    return found or ["no_golden_data"]


CASES = _case_names()
VIDEO_CASES = [name for name in CASES if (_FOLDERS[0] / name / "frame_0.png").exists()] or ["no_golden_video"]
IMAGE_CASES = [name for name in CASES if name not in VIDEO_CASES]


def has_golden_data() -> bool:
    """Whether there is any."""
    return any(folder.is_dir() for folder in _FOLDERS)


def golden_path(name: str) -> Path:
    """A file or folder of the golden data. Tests ask the fixture of this name."""
    for folder in _FOLDERS:
        if (folder / name).exists():
            return folder / name
    raise FileNotFoundError(f"{name} is not in {' or '.join(map(str, _FOLDERS))}")


@dataclass(frozen=True)
class Variant:
    """One way in which the released code was run on a case; `name` is empty where there was only one."""

    name: str
    info: dict[str, Any]

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(R, 4), normalised, in the order of the crop tokens."""
        return np.array(list(self.info["bboxes"].values()))

    @property
    def convention(self) -> RoiConvention:
        return "correct" if "correct_roi" in self.name else "released"

    @property
    def single_bos(self) -> bool:
        return "single_bos" in self.name

    @property
    def generated_ids(self) -> list[int]:
        return list(self.info["generated_ids"])

    def key(self, array: str) -> str:
        """The name of this variant's array."""
        return f"{self.name}.{array}" if self.name else array


@dataclass(frozen=True)
class GoldenCase:
    """One picture with its masks (or frames with a mask each), and what the released code was told and computed."""

    name: str
    images: list[NDArray[np.uint8]]  # (H, W, 3)
    masks: list[NDArray[np.bool_]]  # (H, W)
    info: dict[str, Any]
    arrays: Any

    @property
    def video(self) -> bool:
        return "variants" not in self.info

    @property
    def caption(self) -> bool:
        return not self.video and self.info["kind"] == "caption"

    @property
    def grid(self) -> Grid:
        """Of the picture, or of a frame."""
        tiles_w, tiles_h = self.info.get("aspect_ratio_wh", (1, 1))
        return tiles_w, tiles_h

    @property
    def tiles(self) -> int:
        return len(self.arrays["image_features"])

    @property
    def variants(self) -> dict[str, Variant]:
        infos = {"": self.info} if self.video else self.info["variants"]
        return {name: Variant(name, info) for name, info in infos.items()}

    @property
    def per_mask(self) -> Variant:
        """The variant in which each mask has its own box and the replay convention is the released one."""
        return self.variants["" if self.video else "official" if self.caption else "per_mask_bbox"]

    @property
    def ours(self) -> Variant:
        """The variant that the engine runs: one BOS (a video was run with two only), each mask its own box."""
        names = ["single_bos" if self.caption else "per_mask_bbox_single_bos", ""]
        return next(self.variants[name] for name in names if name in self.variants)

    @property
    def crops(self) -> list[int]:
        """The crop token of each mask."""
        return [int(crop) for crop in self.per_mask.info["bboxes"]]

    @property
    def prompt_numbers(self) -> list[int]:
        """The prompt of each mask."""
        if self.video:
            return [0] * len(self.masks)
        numbers = {crop: int(name[len("<Prompt") : -1]) for name, crop in self.info["crop_tokens"].items()}
        return [numbers[crop] for crop in self.crops]

    @property
    def question(self) -> str:
        """What follows the last crop token."""
        after = self.info["raw_prompt"].rsplit("<|reserved_special_token_", 1)[1].split("|>", 1)[1]
        return str(after.split("<|eot_id|>")[0]).strip()

    @property
    def prompt_text(self) -> str:
        """The whole prompt, its image token written once."""
        return one_image_token(self.info["raw_prompt"])

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """(T, 3, TILE, TILE), by our own preprocessing."""
        grid, thumbnail = self.grid, not self.video
        return np.concatenate([tile_pixels(image, grid, TILE, thumbnail) for image in self.images])

    @cached_property
    def mask_ids(self) -> NDArray[np.uint8]:
        """(T, TILE, TILE), by our own preprocessing."""
        if self.video:
            return np.concatenate([mask_ids([mask], [0], (1, 1), TILE, thumbnail=False) for mask in self.masks])
        return mask_ids(self.masks, self.prompt_numbers, self.grid, TILE)


def one_image_token(prompt: str) -> str:
    """A prompt whose image tokens are written once."""
    return re.sub(r"(<\|image\|>)+", "<|image|>", prompt)


def golden_case(name: str) -> GoldenCase:
    """A case of CASES. Tests ask the fixture of this name."""
    folder = golden_path(name)
    info = json.loads((folder / "case.json").read_text())
    images = _pictures(folder, "frame") or _pictures(folder, "image")
    masks = _pictures(folder, "mask")
    if not images:  # an official picture, which is elsewhere
        assets = [_asset(folder, file) for file in sorted(info["asset_files"])]
        images = [path for path in assets if "image" in path.name]
        masks = [path for path in assets if "mask" in path.name]
    return GoldenCase(
        name,
        [load_image(path) for path in images],
        [load_mask(path) for path in masks],
        info,
        np.load(folder / "arrays.npz"),
    )


def _pictures(folder: Path, what: str) -> list[Path]:
    found = [path for path in folder.iterdir() if re.fullmatch(rf"{what}(_\d+)?\.\w+", path.name)]
    return sorted(found, key=lambda path: (len(path.stem), path.stem))


def _asset(folder: Path, file: str) -> Path:
    for pictures in (folder, *(golden.parent / "gar_bench/demo" for golden in _FOLDERS)):
        if (pictures / file).exists():
            return pictures / file
    raise FileNotFoundError(f"no {file} beside the golden data")
