# SPDX-License-Identifier: Apache-2.0
"""A request as the engine makes it, and the same request with each oddity of the released code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.following import Following
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.replay import RoiConvention, mask_boxes, replay_weights
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.steps import run_to_end
from gar_ros.engine.tiling import Grid, prompted, tile_grid, tile_pixels

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Request:
    """What reaches the decoder. boxes (R, 4) in 0..1; prefix: ids up to the regions; features (T, g * g, H)."""

    engine: GarEngine
    grid: Grid
    features: Float
    boxes: NDArray[np.float64]
    convention: RoiConvention
    prefix: tuple[int, ...]

    @cached_property
    def replay(self) -> Float:
        """Replay tokens (R, g * g, H)."""
        manifest = self.engine.manifest
        wy, wx = replay_weights(self.boxes, self.grid, manifest.sizes.grid, self.convention)
        tiles = self.features[1:] if manifest.tiles.thumbnail else self.features
        return on_host(self.engine.replayer.run({"tile_features": tiles, "wy": wy, "wx": wx})["replay"])

    @cached_property
    def _cache(self) -> KvCache:
        engine, tokens = self.engine, self.engine.manifest.tokens
        ids = np.array(self.prefix)
        embeds = engine.decoder.embed(self.prefix)
        embeds[ids == tokens.image] = self.features.reshape(-1, embeds.shape[1])
        for crop, replay in zip(tokens.crops, self.replay, strict=False):
            embeds[ids == crop] = replay
        return engine.decoder.prefill(engine.decoder.empty, embeds, never_cancelled)[0]

    def ask(self, question: str) -> tuple[KvCache, Following]:
        """The cache after a question and what follows it, with its logits. Raises GarError."""
        decoder = self.engine.decoder
        asked = decoder.embed(self.engine.prompts.question(question, len(self.boxes)))
        return decoder.prefill(self._cache, asked, never_cancelled, decoder.vocabulary)

    def write(self, question: str, tokens: int) -> tuple[int, ...]:
        """Greedy ids of the answer, at most so many. Raises GarError."""
        return run_to_end(self.engine.decoder.generate(*self.ask(question), tokens, never_cancelled)).ids

    def choose(self, question: str, choices: Sequence[str]) -> str:
        """The likeliest of these answers. Raises GarError."""
        ids = self.engine.prompts.choices(choices, len(self.boxes))
        return choices[int(self.engine.decoder.log_likelihoods(*self.ask(question), ids, never_cancelled).argmax())]


def usual_request(
    engine: GarEngine, image: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]], max_tiles: int | None = None
) -> Request:
    """As the engine makes it, of an RGB image (H, W, 3) and masks (H, W); max_tiles: the model's by default."""
    rule, sizes = engine.manifest.tiles, engine.manifest.sizes
    grid = tile_grid(image.shape[1], image.shape[0], max_tiles or rule.max_tiles, sizes.tile)
    pixels = tile_pixels(image, grid, sizes.tile, rule.thumbnail)
    features = engine.encoder.encode(pixels, prompted(masks, grid, sizes.tile, rule.thumbnail), never_cancelled)
    prefix = engine.prompts.prefix("question", len(pixels), len(masks))
    convention = engine.manifest.roi_convention
    return Request(engine, grid, on_host(features), mask_boxes(masks), convention, tuple(prefix))


def oddities(usual: Request, size: tuple[int, int]) -> Iterator[tuple[str, Request]]:
    """Name and the request with it. size: width and height of the image in pixels.

    What the usual request does as the released code does it is undone instead.
    """
    other: RoiConvention = "correct" if usual.convention == "released" else "released"
    yield f"boxes scaled {'once' if other == 'correct' else 'twice'}", replace(usual, convention=other)
    past_the_last = usual.boxes + np.array([0, 0, 1 / size[0], 1 / size[1]])
    yield "boxes that include their last pixel", replace(usual, boxes=past_the_last)
    yield "two start tokens", replace(usual, prefix=(usual.prefix[0], *usual.prefix))
    if len(usual.boxes) > 1:
        yield "the last region's box for all", replace(usual, boxes=np.repeat(usual.boxes[-1:], len(usual.boxes), 0))
        yield "regions named in the opposite order", replace(usual, prefix=opposite(usual))


def opposite(usual: Request) -> tuple[int, ...]:
    """The prefix with the regions named from the last to the first; each keeps its number and its crop token."""
    tokens, count = usual.engine.manifest.tokens, len(usual.boxes)
    swapped: dict[int, int] = {}
    for names in (tokens.prompts, tokens.crops):
        swapped |= dict(zip(names[:count], reversed(names[:count]), strict=True))
    return tuple(swapped.get(token, token) for token in usual.prefix)
