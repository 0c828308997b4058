"""From an image and its regions' masks to the tiles that the vision graph reads.

The arrangement is Perception-LM's (transformers, image_processing_perception_lm_fast.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.resize import bicubic, nearest

Grid = tuple[int, int]
"""(tiles_w, tiles_h)."""


def tile_grid(width: int, height: int, max_tiles: int, tile: int) -> Grid:
    """Arrangement of at most `max_tiles` tiles of `tile` pixels for an image of width x height pixels.

    Among the canvases that hold the whole image, the one on which its shorter side becomes longest (the last of
    equals); when none holds it, the largest canvas of the nearest aspect ratio that is not beyond the image's.
    """
    if max_tiles == 1:
        return 1, 1
    arrangements = _arrangements(max_tiles)
    fitting = [
        (_shorter_side(width, height, tiles_w * tile, tiles_h * tile), index)
        for index, (tiles_w, tiles_h) in enumerate(arrangements)
        if tiles_w * tile >= width and tiles_h * tile >= height
    ]
    if fitting:
        return arrangements[max(fitting)[1]]
    if width >= height:
        ratio = max(tiles_w / tiles_h for tiles_w, tiles_h in arrangements if tiles_w / tiles_h <= width / height)
    else:
        ratio = min(tiles_w / tiles_h for tiles_w, tiles_h in arrangements if tiles_w / tiles_h > width / height)
    return max(arrangement for arrangement in arrangements if arrangement[0] / arrangement[1] == ratio)


def _arrangements(max_tiles: int) -> list[Grid]:
    """All grids of at most `max_tiles` tiles, in Perception-LM's order: by aspect ratio, as they first appear."""
    by_ratio: dict[float, list[Grid]] = {}
    for count in range(max_tiles, 0, -1):
        for tiles_w in range(1, count + 1):
            if count % tiles_w == 0:
                tiles_h = count // tiles_w
                by_ratio.setdefault(tiles_w / tiles_h, []).append((tiles_w, tiles_h))
    return [arrangement for same_ratio in by_ratio.values() for arrangement in same_ratio]


def _shorter_side(width: int, height: int, canvas_w: int, canvas_h: int) -> int:
    """The image's shorter side in pixels when it fills the canvas without distortion."""
    scale = min(canvas_w / width, canvas_h / height)
    # In the original's order of operations: the floor makes the rounding of each step visible.
    aspect = width / height
    return math.floor(scale * width / aspect) if aspect > 1 else math.floor(scale * height * aspect)


def tile_pixels(image: NDArray[np.uint8], grid: Grid, tile: int, thumbnail: bool = True) -> NDArray[np.uint8]:
    """Tiles (T, 3, tile, tile) uint8 of an RGB image (H, W, 3) uint8: the thumbnail first, then row-major."""
    tiles_w, tiles_h = grid
    tiles = _split(bicubic(image, tiles_w * tile, tiles_h * tile), grid)
    if not thumbnail:
        return tiles
    whole = tiles if grid == (1, 1) else _split(bicubic(image, tile, tile), (1, 1))
    return np.concatenate([whole, tiles])


def _split(planes: NDArray[np.uint8], grid: Grid) -> NDArray[np.uint8]:
    """(C, tiles_h * tile, tiles_w * tile) into row-major tiles (tiles_h * tiles_w, C, tile, tile)."""
    tiles_w, tiles_h = grid
    channels, height, width = planes.shape
    cut = planes.reshape(channels, tiles_h, height // tiles_h, tiles_w, width // tiles_w)
    return np.ascontiguousarray(cut.transpose(1, 3, 0, 2, 4).reshape(-1, channels, height // tiles_h, width // tiles_w))


def mask_ids(
    masks: Sequence[NDArray[np.bool_]],
    prompt_numbers: Sequence[int],
    grid: Grid,
    tile: int,
    thumbnail: bool = True,
    none: int = 5,
) -> NDArray[np.uint8]:
    """Prompt id of every pixel of every tile: (T, tile, tile) uint8, `none` outside all masks.

    masks: at least one (H, W) bool; `prompt_numbers` are their prompts. Where masks overlap the earlier one wins, as
    in the released code. The model sees only `ids != none`.
    """
    canvas = np.full(masks[0].shape, none, np.uint8)
    for mask, number in reversed(list(zip(masks, prompt_numbers, strict=True))):
        canvas[mask] = number
    tiles_w, tiles_h = grid
    tiles = _split(nearest(canvas, tiles_w * tile, tiles_h * tile)[None], grid)[:, 0]
    if not thumbnail:
        return tiles
    return np.concatenate([nearest(canvas, tile, tile)[None], tiles])


def prompted(masks: Sequence[NDArray[np.bool_]], grid: Grid, tile: int, thumbnail: bool = True) -> NDArray[np.bool_]:
    """What the model sees of the masks: their union in every tile, (T, tile, tile) bool. masks: as for `mask_ids`."""
    outside = len(masks)
    return mask_ids(masks, range(outside), grid, tile, thumbnail, none=outside) != outside


def normalise(
    pixels: NDArray[np.uint8], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """(T, 3, tile, tile) uint8 to float32 model input; mean and std are those of pixels scaled to 0..1."""
    shift = np.asarray(mean, np.float32).reshape(3, 1, 1) * np.float32(255)
    scale = np.asarray(std, np.float32).reshape(3, 1, 1) * np.float32(255)
    values: NDArray[np.float32] = (pixels.astype(np.float32) - shift) / scale
    return values
