"""Stage 1: the ViT learns what and where things are from single tiles, before any question is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gar_ros.engine.replay import region_boxes, replay_weights
from gar_ros.export.model import GarModel
from gar_ros.export.train.heads import PLACE, Heads, grid_loss, patch_labels, patch_loss, place_of, region_loss
from gar_ros.export.train.pixels import camera_noise, detector_mask
from gar_ros.export.train.scenes import ABSENT, CANVAS, Scenes
from gar_ros.export.train.tiny_checkpoint import TILE

REGIONS = 4  # at most, of one tile
MIN_PIXELS = 60  # of an object in a tile, to be asked about
MIN_SHARE = 0.5  # of the object's visible pixels that the tile must hold
THUMBNAILS = 0.4  # share of the tiles; as many are random crops, the rest the runtime's own tiles
RANDOM_CROPS = 0.4
MASKS_CHANGED = 0.15
GRID_WEIGHT = 2.0
NO_MASK, ALL_MASKED = 0.2, 0.6  # otherwise a random part of the regions is masked


@dataclass(frozen=True)
class TileBatch:
    """B single tiles. pixels float [B, 3, S, S] normalised, masks [B, 1, S, S], patches int64 [B, n, 4], attributes
    int64 [B, R, 4], places [B, R, PLACE], wy and wx [B, R, g, g]."""

    pixels: Tensor
    masks: Tensor
    patches: Tensor
    attributes: Tensor
    places: Tensor
    wy: Tensor
    wx: Tensor


class VisionStage:
    """Batches, loss and evaluation of stage 1."""

    name = "vision"

    def __init__(self, scenes: Scenes, held_out: Scenes, batch: int) -> None:
        self.scenes, self.held_out, self.batch_size = scenes, held_out, batch

    def batch(self, model: GarModel, plan: np.random.Generator, rng: np.random.Generator) -> TileBatch:
        """A random training batch."""
        return self._batch(model, self.scenes, rng.integers(len(self.scenes), size=self.batch_size), rng, augment=True)

    def loss(self, model: GarModel, heads: Heads, batch: TileBatch) -> tuple[Tensor, dict[str, float]]:
        """Patch labels plus region attributes and places."""
        patches = model.encode_patches(batch.pixels, batch.masks)
        features = model.project(patches)
        dense, numbers = patch_loss(heads.patch, patches, batch.patches)
        replay = model.replay(features[:, None], (1, 1), batch.wy, batch.wx)
        regional, more = region_loss(heads.region, replay, batch.attributes, batch.places, "region")
        grid, most = grid_loss(heads.grid, features)
        return dense + regional + GRID_WEIGHT * grid, {
            "patch_loss": dense.item(),
            "region_loss": regional.item(),
            **numbers,
            **more,
            **most,
        }

    @torch.no_grad()
    def evaluate(self, model: GarModel, heads: Heads) -> dict[str, float]:
        """The loss's numbers on held-out scenes, without augmentation."""
        rng = np.random.default_rng(0)
        parts = np.array_split(np.arange(min(len(self.held_out), 160)), 5)
        results = [
            self.loss(model, heads, self._batch(model, self.held_out, part, rng, augment=False))[1] for part in parts
        ]
        return {key: round(float(np.mean([result[key] for result in results])), 4) for key in results[0]}

    def _batch(
        self, model: GarModel, scenes: Scenes, indexes: NDArray[np.int64], rng: np.random.Generator, augment: bool
    ) -> TileBatch:
        count, side = len(indexes), model.config.grid
        pixels = np.empty((count, 3, TILE, TILE), np.float32)
        labels = np.empty((count, TILE, TILE), np.uint8)
        masks = np.zeros((count, 1, TILE, TILE), np.float32)
        attributes = np.full((count, REGIONS, 4), ABSENT, np.int64)
        places = np.zeros((count, REGIONS, PLACE), np.float32)
        wy, wx = np.zeros((2, count, REGIONS, side, side), np.float32)
        for row, scene in enumerate(indexes):
            tile, labels[row], shrunk = _random_tile(scenes, scene, rng)
            pixels[row] = camera_noise(tile[None], rng)[0] if augment else tile
            chosen = _visible_objects(scenes.labels[scene], labels[row], shrunk)
            rng.shuffle(chosen)
            changed = MASKS_CHANGED if augment else 0.0
            regions = [detector_mask(labels[row] == number, rng, changed) for number in chosen[:REGIONS]]
            if not regions:
                continue
            objects = [number - 1 for number in chosen[:REGIONS]]
            attributes[row, : len(regions)] = scenes.attributes[scene, objects]
            places[row, : len(regions)] = [
                place_of(mask, scenes.depths[scene, item]) for mask, item in zip(regions, objects, strict=True)
            ]
            wy[row, : len(regions)], wx[row, : len(regions)] = replay_weights(
                region_boxes(regions), (1, 1), side, "correct"
            )
            masks[row, 0] = _prompted(regions, rng)
        dense = patch_labels(labels, scenes.attributes[indexes], model.config.patch)
        tensors = [torch.from_numpy(array) for array in (pixels / 127.5 - 1, masks, dense, attributes, places, wy, wx)]
        return TileBatch(*tensors)


def _random_tile(
    scenes: Scenes, scene: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], int]:
    """Pixels (3, S, S) and labels (S, S) of the thumbnail, of one of the runtime's tiles, or of a random crop.

    The third value is how many of the canvas's pixels became one.
    """
    kind = rng.random()
    if kind < THUMBNAILS:
        return scenes.thumbnails[scene], scenes.labels[scene, ::2, ::2], 4
    if kind < THUMBNAILS + RANDOM_CROPS:
        top, left = rng.integers(CANVAS - TILE + 1, size=2)
    else:
        top, left = rng.integers(2, size=2) * TILE
    rows, columns = slice(top, top + TILE), slice(left, left + TILE)
    return scenes.canvases[scene, :, rows, columns], scenes.labels[scene, rows, columns], 1


def _visible_objects(canvas: NDArray[np.uint8], tile: NDArray[np.uint8], shrunk: int) -> list[int]:
    """Labels of the objects that `tile` shows well enough to be asked about.

    canvas: the whole picture's labels. shrunk: how many of its pixels became one of the tile's.
    """
    whole, part = np.bincount(canvas.ravel()), np.bincount(tile.ravel())
    return [
        number
        for number in range(1, len(part))
        if part[number] >= MIN_PIXELS and part[number] * shrunk >= MIN_SHARE * whole[number]
    ]


def _prompted(regions: list[NDArray[np.bool_]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Union of none, all or some of the regions' masks."""
    kind = rng.random()
    if kind < NO_MASK:
        return np.zeros(regions[0].shape, np.float32)
    some = regions if kind < NO_MASK + ALL_MASKED else [mask for mask in regions if rng.random() < 0.5]
    return np.logical_or.reduce([np.zeros_like(regions[0]), *some]).astype(np.float32)
