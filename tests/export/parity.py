# SPDX-License-Identifier: Apache-2.0
"""Two ways to compute a golden case, torch and the exported graphs, and what is compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gar_export.model import GarModel
from gar_export.verify import greedy
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.prompt import Form, PromptBuilder
from gar_ros.engine.replay import mask_boxes, replay_weights
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.tiling import Grid, normalise, tile_grid
from tests.engine.golden import BOS, GRID, TILE, GoldenCase, Variant
from tests.parity_table import Difference

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]

FEATURES, REPLAY, LOGITS = 2e-5, 1e-5, 3e-3
"""Of float32 torch (golden/README.md); the graphs may differ ten times as much."""

_HALF = (0.5, 0.5, 0.5)
_OUTSIDE = 5  # the mask id of no prompt


class Side(Protocol):
    """One implementation, stage by stage. T tiles, g tokens along one side of a tile, H decoder width."""

    name: str
    tolerance: float  # times those above
    prompts: PromptBuilder

    def features(self, pixels: NDArray[np.uint8], inside: Bool) -> Float:
        """(T, g * g, H) of tiles (T, 3, S, S) and masks (T, S, S)."""

    def replay(self, tiles: Float, grid: Grid, wy: Float, wx: Float) -> Float:
        """(R, g * g, H) of an image's tiles without its thumbnail."""

    def splice(self, ids: Sequence[int], features: Float, replay: Float) -> Float:
        """The decoder's input (L, H)."""

    def greedy(self, embeds: Float, steps: int) -> tuple[list[int], Float]:
        """`steps` ids after embeddings (L, H), and the logits (steps, vocab) they were taken from."""

    def vision(self, pixels: NDArray[np.uint8], inside: Bool) -> dict[str, Float]:
        """Stages inside the vision tower, by their names in the golden arrays, each (tokens, width) of one tile."""


class TorchSide:
    """The float32 torch model."""

    name, tolerance = "torch", 1.0

    def __init__(self, model: GarModel, prompts: PromptBuilder) -> None:
        self.model = model
        self.prompts = prompts

    def features(self, pixels: NDArray[np.uint8], inside: Bool) -> Float:
        return self.model.encode_tiles(*self._inputs(pixels, inside)).numpy()

    def replay(self, tiles: Float, grid: Grid, wy: Float, wx: Float) -> Float:
        features, *weights = map(torch.from_numpy, (tiles, wy, wx))
        return self.model.replay(features, grid, *weights).numpy()

    def splice(self, ids: Sequence[int], features: Float, replay: Float) -> Float:
        spliced = self.model.splice(torch.tensor([ids]), torch.from_numpy(features), torch.from_numpy(replay))
        return spliced[0].numpy()

    def greedy(self, embeds: Float, steps: int) -> tuple[list[int], Float]:
        ids, logits = greedy(self.model, torch.from_numpy(embeds)[None], steps)
        return ids, logits.numpy()

    def vision(self, pixels: NDArray[np.uint8], inside: Bool) -> dict[str, Float]:
        pixel_values, mask_values = self._inputs(pixels, inside)
        masks = self.model.mask_patch_embedding(mask_values.expand(-1, 3, -1, -1)).flatten(2).transpose(1, 2)
        stages = {
            "patch_embed": self.model.vit.patch_embed(pixel_values),
            "mask_embeds": masks,
            "vision_last_hidden": self.model.encode_patches(pixel_values, mask_values),
        }
        return {name: tokens[0].numpy() for name, tokens in stages.items()}

    def _inputs(self, pixels: NDArray[np.uint8], inside: Bool) -> tuple[Tensor, Tensor]:
        values = torch.from_numpy(normalise(pixels, _HALF, _HALF))
        return values, torch.from_numpy(inside[:, None].astype(np.float32))


class OnnxSide:
    """The exported graphs in ONNX Runtime, by the engine's own parts."""

    name, tolerance = "ONNX", 10.0

    def __init__(self, engine: GarEngine) -> None:
        self.engine = engine
        self.prompts = engine.prompts

    def features(self, pixels: NDArray[np.uint8], inside: Bool) -> Float:
        return on_host(self.engine.encoder.encode(pixels, inside, never_cancelled))

    def replay(self, tiles: Float, grid: Grid, wy: Float, wx: Float) -> Float:
        return self.engine.replayer.run({"tile_features": tiles, "wy": wy, "wx": wx})["replay"].numpy()

    def splice(self, ids: Sequence[int], features: Float, replay: Float) -> Float:
        places, tokens = np.asarray(ids), self.engine.manifest.tokens
        embeds = self.engine.decoder.embed(ids)
        embeds[places == tokens.image] = features.reshape(-1, embeds.shape[1])
        embeds[np.isin(places, tokens.crops)] = replay.reshape(-1, embeds.shape[1])
        return embeds

    def greedy(self, embeds: Float, steps: int) -> tuple[list[int], Float]:
        decoder = self.engine.decoder
        cache: KvCache = decoder.empty
        ids: list[int] = []
        logits: list[Float] = []
        while len(ids) < steps:
            cache, row = decoder.prefill_logits(cache, embeds, never_cancelled)
            logits.append(row)
            ids.append(int(row.argmax()))
            embeds = decoder.embed(ids[-1:])
        return ids, np.stack(logits)

    def vision(self, pixels: NDArray[np.uint8], inside: Bool) -> dict[str, Float]:
        return {}  # the graph has no such outputs


def differences(case: GoldenCase, side: Side) -> Iterator[Difference]:
    """Every stage that the case has arrays for, each from our own output of the stage before it."""
    yield from _inputs(case, side)
    inside = case.mask_ids != _OUTSIDE
    yield from _vision(case, side, inside)
    features = side.features(case.pixels, inside)
    yield _largest("image features", features, case.arrays["image_features"], FEATURES * side.tolerance)
    if "merged_map" in case.arrays:
        merged = _merged_map(side, features[1:], case.grid)
        yield _largest("merged map", merged, case.arrays["merged_map"], FEATURES * side.tolerance)
    for variant in case.variants.values():
        yield from _variant(case, side, features, variant)


def _inputs(case: GoldenCase, side: Side) -> Iterator[Difference]:
    """What our own preprocessing gives; the same for every side but for the prompt."""
    if not case.video:
        height, width = case.images[0].shape[:2]
        yield _equal("tile grid", tile_grid(width, height, case.info["max_num_tiles"], TILE), case.grid)
    pixels = case.arrays["pixel_u8"] if "pixel_u8" in case.arrays else _official_pixels(case)
    yield _equal("pixels", case.pixels, pixels)
    yield _equal("mask ids", case.mask_ids, case.arrays["mask_ids"])
    yield _equal("boxes", mask_boxes(case.masks), case.per_mask.boxes)
    yield _equal("input ids", [BOS, *prompt_ids(side.prompts, case)], case.arrays["input_ids"])


def prompt_ids(prompts: PromptBuilder, case: GoldenCase) -> list[int]:
    """The whole prompt of a case as the engine asks it, with one BOS."""
    if case.caption:
        return prompts.prefix("caption", case.tiles, 1) + prompts.caption_request()
    form: Form = "video" if case.video else "question"
    regions = 1 if case.video else len(case.masks)
    return prompts.prefix(form, case.tiles, len(case.masks)) + prompts.question(case.question, regions, form)


def _official_pixels(case: GoldenCase) -> NDArray[np.uint8]:
    """Ours, with the released values where Pillow's would differ: the fixture has the hash of all of them."""
    pixels = case.pixels.copy()
    pixels.ravel()[case.arrays["pixel_u8_fix_index"]] = case.arrays["pixel_u8_fix_value"]
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == case.info["sha256"]["pixel_u8"]
    return pixels


def _vision(case: GoldenCase, side: Side, inside: Bool) -> Iterator[Difference]:
    """The fixture has every eighth token of the first real tile, the class token first if there is one."""
    for name, tokens in side.vision(case.pixels[1:2], inside[1:2]).items():
        key = f"{name}.tile1_every8"
        if key not in case.arrays:
            continue
        expected = case.arrays[key]
        if len(expected) > len(tokens) // 8:
            tokens, expected = tokens[7:], expected[1:]
        yield _largest(name.replace("_", " "), tokens[::8], expected, FEATURES * side.tolerance)


def _merged_map(side: Side, tiles: Float, grid: Grid) -> Float:
    """(H, g * tiles_h, g * tiles_w) as replay reads it: one region a tile, each token a cell of the map."""
    tiles_w, tiles_h = grid
    columns, rows = np.meshgrid(np.arange(tiles_w), np.arange(tiles_h))
    wy, wx = (
        np.eye(GRID * count, dtype=np.float32).reshape(count, GRID, GRID * count)[places.ravel()]
        for count, places in ((tiles_h, rows), (tiles_w, columns))
    )
    cells = side.replay(tiles, grid, wy, wx).reshape(tiles_h, tiles_w, GRID, GRID, -1)
    return cells.transpose(4, 0, 2, 1, 3).reshape(cells.shape[-1], tiles_h * GRID, tiles_w * GRID)


def _variant(case: GoldenCase, side: Side, features: Float, variant: Variant) -> Iterator[Difference]:
    """From the boxes that the released code was given to the ids that it generated."""
    wy, wx = replay_weights(variant.boxes, case.grid, GRID, variant.convention)
    if case.video:
        frames = [slice(frame, frame + 1) for frame in range(len(features))]
        replay = np.concatenate([side.replay(features[one], (1, 1), wy[one], wx[one]) for one in frames])
    else:
        replay = side.replay(features[1:], case.grid, wy, wx)
    stage = f"replay{' (correct RoI)' if variant.convention == 'correct' else ''}"
    for crop, tokens in zip(variant.info["bboxes"], replay, strict=True):
        if (key := variant.key(f"replay_{crop}")) in case.arrays:
            yield _largest(stage, tokens, case.arrays[key], REPLAY * side.tolerance)
    ids = prompt_ids(side.prompts, case)
    embeds = side.splice(ids if variant.single_bos else [BOS, *ids], features, replay)
    if (key := variant.key("inputs_embeds")) in case.arrays:
        yield _largest("input embeddings", embeds, case.arrays[key], FEATURES * side.tolerance)

    generated, logits = side.greedy(embeds, len(variant.generated_ids))
    used = case.arrays["used_ids"].astype(np.int64)
    expected = np.zeros_like(logits)  # where the fixture has no logits they are exactly 0
    expected[:, used] = case.arrays[variant.key("logits_steps")]
    yield _largest("first-token logits", logits[0], expected[0], LOGITS * side.tolerance)
    yield _largest("logits of the further tokens", logits[1:], expected[1:], LOGITS * side.tolerance)
    yield _equal("generated ids", generated, variant.generated_ids)


def _largest(stage: str, found: Float, expected: Any, allowed: float) -> Difference:
    assert found.shape == expected.shape, f"{stage}: {found.shape}, expected {expected.shape}"
    return Difference(stage, float(np.abs(found - expected).max()), allowed)


def _equal(stage: str, found: Any, expected: Any) -> Difference:
    """Counts what is not equal."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{stage}: {found.shape}, expected {expected.shape}"
    return Difference(stage, float(np.count_nonzero(found != expected)), 0)
