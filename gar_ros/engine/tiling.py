# SPDX-License-Identifier: Apache-2.0
"""Cuts an image and its regions' masks into the tiles that the vision graph reads.

The rule for the tile grid is Perception-LM's (transformers, image_processing_perception_lm_fast.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.resize import Kind, bicubic, nearest

Grid = tuple[int, int]
"""(tiles_w, tiles_h)."""


def tile_grid(width: int, height: int, max_tiles: int, tile: int) -> Grid:
    """The tile grid of at most `max_tiles` tiles of `tile` x `tile` pixels for an image of width x height pixels.

    Among the grids that hold the whole image it is the one on which the image's shorter side becomes longest (the last
    of equals). When none holds it, it is the largest grid of the nearest aspect ratio that is not beyond the image's.
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


def tile_pixels(
    image: NDArray[np.uint8], grid: Grid, tile: int, thumbnail: bool = True, threads: int = 1
) -> NDArray[np.uint8]:
    """Tiles (T, 3, tile, tile) uint8 of an RGB image (H, W, 3) uint8: the thumbnail, then the grid row by row.

    threads: 0 for all cores.
    """

    def planes(tiles_w: int, tiles_h: int) -> NDArray[np.uint8]:
        return bicubic(image, tiles_w * tile, tiles_h * tile, threads)

    return _tiles(planes, grid, thumbnail)


def _tiles(resized: Callable[[int, int], NDArray[Kind]], grid: Grid, thumbnail: bool) -> NDArray[Kind]:
    """Tiles (T, C, tile, tile): the thumbnail, then the grid row by row.

    resized: planes (C, tiles_h * tile, tiles_w * tile) of the whole image for a grid (tiles_w, tiles_h).
    """
    tiles_w, tiles_h = grid
    planes = resized(tiles_w, tiles_h)
    channels, tile = len(planes), planes.shape[1] // tiles_h
    tiles = np.empty((tiles_w * tiles_h + thumbnail, channels, tile, tile), planes.dtype)
    cut = tiles[int(thumbnail) :].reshape(tiles_h, tiles_w, channels, tile, tile)
    cut[:] = planes.reshape(channels, tiles_h, tile, tiles_w, tile).transpose(1, 3, 0, 2, 4)
    if thumbnail:
        tiles[0] = planes if grid == (1, 1) else resized(1, 1)
    return tiles


def mask_ids(
    masks: Sequence[NDArray[np.bool_]],
    prompt_numbers: Sequence[int],
    grid: Grid,
    tile: int,
    thumbnail: bool = True,
    none: int = 5,
) -> NDArray[np.uint8]:
    """Prompt numbers (T, tile, tile) uint8 of every pixel of every tile, `none` outside all masks.

    masks: one or more, (H, W) bool. prompt_numbers: the number of each mask. Where masks overlap the earlier one wins,
    as in the released code. The model reads only whether a pixel's number is `none`.
    """
    canvas = np.full(masks[0].shape, none, np.uint8)
    for mask, number in reversed(list(zip(masks, prompt_numbers, strict=True))):
        canvas[mask] = number
    return _nearest_tiles(canvas, grid, tile, thumbnail)


def prompted(masks: Sequence[NDArray[np.bool_]], grid: Grid, tile: int, thumbnail: bool = True) -> NDArray[np.bool_]:
    """The union of the masks in every tile, (T, tile, tile) bool, which is all that the model reads of them.

    masks: one or more, (H, W) bool.
    """
    union = masks[0].copy()
    for mask in masks[1:]:
        union |= mask
    return _nearest_tiles(union, grid, tile, thumbnail)


def _nearest_tiles(canvas: NDArray[Kind], grid: Grid, tile: int, thumbnail: bool) -> NDArray[Kind]:
    """Tiles (T, tile, tile) of a canvas (H, W), as `_tiles`."""

    def planes(tiles_w: int, tiles_h: int) -> NDArray[Kind]:
        return nearest(canvas, tiles_w * tile, tiles_h * tile)[None]

    return _tiles(planes, grid, thumbnail)[:, 0]


def normalise(
    pixels: NDArray[np.uint8], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> NDArray[np.float32]:
    """Model input (T, 3, tile, tile) float32 from uint8 pixels. mean, std: of channels scaled to 0..1."""
    shift, scale = shift_and_scale(mean, std)
    values: NDArray[np.float32] = (pixels.astype(np.float32) - shift) / scale
    return values


def shift_and_scale(
    mean: tuple[float, float, float], std: tuple[float, float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What `normalise` subtracts from pixels 0..255 and then divides by, each (3, 1, 1)."""
    shift, scale = (np.asarray(values, np.float32).reshape(3, 1, 1) * np.float32(255) for values in (mean, std))
    return shift, scale
