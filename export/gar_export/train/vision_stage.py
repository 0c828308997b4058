# SPDX-License-Identifier: Apache-2.0
"""Stage 1: the ViT learns what and where things are, before any question is asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gar_export.model import GarModel
from gar_export.train.heads import PLACE, Heads, grid_loss, patch_labels, patch_loss, place_of, region_loss
from gar_export.train.pixels import detector_mask, photographed
from gar_export.train.scenes import ABSENT, WHOLE, Scenes
from gar_ros.engine.replay import mask_boxes, replay_weights

REGIONS = 4  # at most, of one picture
MASKS_CHANGED = 0.2
GRID_WEIGHT = 2.0
NO_MASK, ALL_MASKED = 0.1, 0.7  # share of the pictures; otherwise a random part of the regions is masked


@dataclass(frozen=True)
class TileBatch:
    """B pictures of one tile. pixels float [B, 3, S, S] normalised, masks [B, 1, S, S], patches int64 [B, n, 4],
    attributes int64 [B, R, 4], places [B, R, PLACE], wy and wx [B, R, g, g]."""

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

    def __init__(self, scenes: Scenes, held_out: Scenes, batch: int, all_masked: float = ALL_MASKED) -> None:
        self.scenes, self.held_out, self.batch_size, self.all_masked = scenes, held_out, batch, all_masked

    def batch(self, model: GarModel, plan: np.random.Generator, rng: np.random.Generator) -> TileBatch:
        """A random training batch."""
        return self._batch(model, self.scenes, rng.integers(len(self.scenes), size=self.batch_size), rng, augment=True)

    def loss(self, model: GarModel, heads: Heads, batch: TileBatch) -> tuple[Tensor, dict[str, float]]:
        """Patch labels plus region attributes and places."""
        patches = model.encode_patches(batch.pixels, batch.masks)
        features = model.project(patches)
        dense, numbers = patch_loss(heads.patch, patches, batch.patches)
        replay = model.replay(features[:, None], WHOLE, batch.wy, batch.wx)
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
        count, size, side = len(indexes), model.config.tile, model.config.grid
        pixels = np.empty((count, 3, size, size), np.float32)
        masks = np.zeros((count, 1, size, size), np.float32)
        patches: list[NDArray[np.int64]] = []
        attributes = np.full((count, REGIONS, 4), ABSENT, np.int64)
        places = np.zeros((count, REGIONS, PLACE), np.float32)
        wy, wx = np.zeros((2, count, REGIONS, side, side), np.float32)
        for row, scene in enumerate(indexes):
            mirror = slice(None, None, -1 if augment and rng.random() < 0.5 else 1)
            tile, labels = scenes.tiles[scene][:, :, mirror], scenes.labels[scene][:, mirror]
            pixels[row] = photographed(tile, rng) if augment else tile
            patches.append(patch_labels(labels, scenes.attributes[scene], model.config.patch))
            objects = rng.permutation(np.flatnonzero(scenes.truths[scene].askable))[:REGIONS]
            if not len(objects):
                continue
            changed = MASKS_CHANGED if augment else 0.0
            regions = [detector_mask(labels == item + 1, rng, changed) for item in objects]
            attributes[row, : len(regions)] = scenes.attributes[scene, objects]
            places[row, : len(regions)] = [
                place_of(mask, scenes.depths[scene, item]) for mask, item in zip(regions, objects, strict=True)
            ]
            wy[row, : len(regions)], wx[row, : len(regions)] = replay_weights(
                mask_boxes(regions), WHOLE, side, "correct"
            )
            masks[row, 0] = _prompted(regions, self.all_masked, rng)
        arrays = (pixels / 127.5 - 1, masks, np.stack(patches), attributes, places, wy, wx)
        return TileBatch(*(torch.from_numpy(array) for array in arrays))


def _prompted(regions: list[NDArray[np.bool_]], all_masked: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Union of none, all or some of the regions' masks."""
    kind = rng.random()
    if kind < NO_MASK:
        return np.zeros(regions[0].shape, np.float32)
    some = regions if kind < NO_MASK + all_masked else [mask for mask in regions if rng.random() < 0.5]
    return np.logical_or.reduce([np.zeros_like(regions[0]), *some]).astype(np.float32)
