# SPDX-License-Identifier: Apache-2.0
"""Situations without golden data, computed a second time with torch's and torchvision's own operators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torchvision.ops import roi_align

from gar_export.model import GarModel
from gar_export.verify import greedy
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.manifest import TileRule
from gar_ros.engine.replay import RoiConvention, mask_boxes, replay_weights
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.tiling import normalise, prompted, tile_grid, tile_pixels
from gar_ros.region import Box, Region
from tests.engine.golden import GRID, TILE


@dataclass(frozen=True)
class Situation:
    size: tuple[int, int]  # (width, height) in pixels
    boxes: tuple[Box, ...]
    max_tiles: int

    @property
    def image(self) -> NDArray[np.uint8]:
        width, height = self.size
        return np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)

    @property
    def regions(self) -> list[Region]:
        return [Region.from_box(str(number), box, self.size) for number, box in enumerate(self.boxes)]


SITUATIONS = {
    "smaller than a tile, one column": Situation((40, 30), ((7, 2, 8, 29),), 4),
    "wide, overlapping": Situation((1500, 20), ((0, 0, 700, 20), (600, 5, 1500, 15)), 3),
    "tall, at the borders": Situation((12, 900), ((0, 0, 12, 1), (11, 0, 12, 900), (0, 899, 12, 900)), 2),
    "five, one inside another": Situation(
        (500, 470),
        ((0, 0, 500, 470), (10, 10, 300, 300), (50, 50, 51, 51), (499, 469, 500, 470), (200, 0, 260, 470)),
        4,
    ),
    "one pixel": Situation((1, 1), ((0, 0, 1, 1),), 1),
}


@pytest.fixture(params=SITUATIONS)
def situation(request: pytest.FixtureRequest) -> Situation:
    return SITUATIONS[request.param]


def test_tiles_and_masks_are_torchs_resize(situation: Situation) -> None:
    grid = tile_grid(*situation.size, situation.max_tiles, TILE)
    pixels = tile_pixels(situation.image, grid, TILE)
    inside = prompted([region.mask for region in situation.regions], grid, TILE)
    planes = torch.from_numpy(situation.image).permute(2, 0, 1)[None].float()
    union = torch.from_numpy(np.any([region.mask for region in situation.regions], axis=0))[None, None].float()
    assert inside.any()
    for places, (tiles_w, tiles_h) in ((slice(1), (1, 1)), (slice(1, None), grid)):
        size = (tiles_h * TILE, tiles_w * TILE)
        # torch's own bicubic is antialiased with a = -0.5; rounded once, as the released code does.
        resized = F.interpolate(planes, size, mode="bicubic", antialias=True).clamp(0, 255).round().byte()
        np.testing.assert_array_equal(pixels[places], cut(resized, tiles_w, tiles_h))
        nearest = F.interpolate(union, size, mode="nearest").bool()
        np.testing.assert_array_equal(inside[places], cut(nearest, tiles_w, tiles_h)[:, 0])


def cut(canvas: torch.Tensor, tiles_w: int, tiles_h: int) -> NDArray:
    """(1, C, tiles_h * TILE, tiles_w * TILE) into row-major tiles."""
    rows = [row.chunk(tiles_w, dim=3) for row in canvas.chunk(tiles_h, dim=2)]
    return torch.cat([tile for row in rows for tile in row]).numpy()


@pytest.mark.parametrize("convention", ["released", "correct"])
def test_replay_weights_are_torchvisions_roi_align(situation: Situation, convention: RoiConvention) -> None:
    grid = tile_grid(*situation.size, situation.max_tiles, TILE)
    tiles_w, tiles_h = grid
    feature_map = np.random.default_rng(0).standard_normal((1, 3, GRID * tiles_h, GRID * tiles_w)).astype(np.float32)
    boxes = mask_boxes([region.mask for region in situation.regions])
    wy, wx = replay_weights(boxes, grid, GRID, convention)
    found = np.einsum("rph,chw,rqw->rcpq", wy, feature_map[0], wx, optimize=True)

    cells = boxes * GRID * np.array([tiles_w, tiles_h] * 2)
    rois = torch.from_numpy(np.concatenate([np.zeros((len(boxes), 1)), cells], 1).astype(np.float32))
    scale = 1 / 28 if convention == "released" else 1.0
    expected = roi_align(torch.from_numpy(feature_map), rois, GRID, scale, sampling_ratio=2, aligned=True)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.fixture(scope="module")
def engine(exported_1b: Path) -> GarEngine:
    return GarEngine.open(exported_1b, "cpu", threads=1)


def test_the_engine_is_the_torch_model(situation: Situation, engine: GarEngine, models: dict[str, GarModel]) -> None:
    """From picture to ids; the torch side with torchvision's RoI align on a map that is put together here."""
    model = models["small_1b"]
    frame = engine.encode(situation.image, situation.regions, max_tiles=situation.max_tiles)
    features, replay = torch_encoding(model, engine.manifest.tiles, situation)
    np.testing.assert_allclose(on_host(frame._features), features, atol=2e-5)
    np.testing.assert_allclose(on_host(frame._replay), replay, atol=1e-5)

    answer = frame.ask("What is <Prompt0>?", max_tokens=4)
    ids = engine.prompts.prefix("question", len(features), len(replay))
    ids += engine.prompts.question("What is <Prompt0>?", len(replay))
    embeds = model.splice(torch.tensor([ids]), features[None], replay[None])
    assert list(answer.token_ids) == greedy(model, embeds, 4)[0]
    assert_probabilities_are_the_softmax(frame, engine, embeds, model)


def torch_encoding(model: GarModel, rule: TileRule, situation: Situation) -> tuple[torch.Tensor, torch.Tensor]:
    """(features (T, g * g, H), replay (R, g * g, H)) of the released convention."""
    grid = tiles_w, tiles_h = tile_grid(*situation.size, situation.max_tiles, TILE)
    masks = [region.mask for region in situation.regions]
    values = torch.from_numpy(normalise(tile_pixels(situation.image, grid, TILE), rule.mean, rule.std))
    features = model.encode_tiles(values, torch.from_numpy(prompted(masks, grid, TILE)[:, None].astype(np.float32)))
    tiles = features[1:].reshape(tiles_h, tiles_w, GRID, GRID, -1)
    feature_map = tiles.permute(4, 0, 2, 1, 3).reshape(1, -1, tiles_h * GRID, tiles_w * GRID)
    cells = torch.from_numpy(mask_boxes(masks) * GRID * np.array([tiles_w, tiles_h] * 2)).float()
    replay = roi_align(feature_map, [cells], GRID, 1 / 28, sampling_ratio=2, aligned=True)
    return features, replay.flatten(2).transpose(1, 2)


def assert_probabilities_are_the_softmax(
    frame: EncodedFrame, engine: GarEngine, embeds: torch.Tensor, model: GarModel
) -> None:
    """Of the torch model's logits, for choices of one token each."""
    choices = ["A", "B", "C"]
    answer = frame.ask("What is <Prompt0>?", choices)
    positions = torch.arange(embeds.shape[1])[None]
    logits = model.decode(embeds, positions)[0, -1, [engine.prompts.choice(text)[0] for text in choices]]
    np.testing.assert_allclose(answer.probabilities, logits.softmax(0), atol=1e-3)
