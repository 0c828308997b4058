# SPDX-License-Identifier: Apache-2.0
"""The engine's public face: open a model, encode an image once, ask about it often."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck, never_cancelled
from gar_ros.engine.checks import (
    check_context,
    check_frames,
    check_image,
    check_max_tiles,
    check_max_tokens,
    failures_are_typed,
)
from gar_ros.engine.cost import MemoryLimit
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.encoded_frame import EncodedFrame, SharedPrefix, Timings, stage
from gar_ros.engine.encoder import TileEncoder
from gar_ros.engine.language import Language
from gar_ros.engine.model_dir.embeddings import Embeddings
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION, Manifest
from gar_ros.engine.prompt import PromptBuilder, Question
from gar_ros.engine.replay import region_boxes, replay_weights
from gar_ros.engine.runtime.protocol import Rows, Runner, Runtime
from gar_ros.engine.runtime.select import DEFAULT_ENGINES, ON_CPU, Engines, with_runtime
from gar_ros.engine.runtime.tensorrt.profiles import most_tiles
from gar_ros.engine.tiling import Grid, prompted, tile_grid, tile_pixels
from gar_ros.region import Region, check_count

VideoFrame = tuple[NDArray[np.uint8], Region]
"""An RGB image (H, W, 3) uint8 and the region in it."""

_TILE_CACHE_BYTES = 256 << 20
_DEVICE_BATCH = 16  # tiles a run on a device, to keep it busy; the CPU gains nothing from more than one

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class EncodedImage:
    """An encoded image. features: (T, g * g, H) of the thumbnail and tiles. replay: (R, g * g, H) of its R regions.
    shared: what `GarEngine.from_features` takes, so that the frames of the image share what they can."""

    features: Rows
    replay: Rows
    seconds: Timings
    shared: SharedPrefix = field(default_factory=SharedPrefix)


class GarEngine:
    """One model that is loaded. Not thread-safe: `parse` may be called from any thread, all else by one."""

    def __init__(
        self,
        model: ModelDir,
        runtime: Runtime,
        tile_cache_bytes: int = _TILE_CACHE_BYTES,
        max_memory: int = 0,
        threads: int = 0,
    ) -> None:
        """model: the exported folder; see also `open`. runtime: what runs its graphs. tile_cache_bytes: size of the
        cache of tile features. max_memory: bytes that a request may take, 0 for what is available. threads: that cut
        images into tiles, 0 for all cores. Raises GarError BAD_MODEL for a file that can't be used."""
        self.manifest: Manifest = model.manifest
        self.provider: str = runtime.provider
        sizes, tokens = model.manifest.sizes, model.manifest.tokens
        on_cpu = runtime.provider in ON_CPU
        per_run = 1 if on_cpu else min(_DEVICE_BATCH, most_tiles(model.manifest))
        self._memory, self._tiles_per_run = MemoryLimit(max_memory, on_cpu), per_run
        self.encoder = TileEncoder(
            runtime.load(model.graph(VISION)), model.manifest.tiles, tile_cache_bytes, per_run, runtime.join, threads
        )
        self.replayer: Runner = runtime.load(model.graph(REPLAY))
        self.language = Language(
            prompts=PromptBuilder(tokens, model.manifest.prompt, sizes.tile_tokens, model.tokenizer()),
            decoder=Decoder(
                runtime.load(model.graph(DECODER)),
                Embeddings(model),
                sizes,
                tokens.eos,
                model.manifest.kv_cache,
                model.manifest.tail,
            ),
            sizes=sizes,
            tokens=tokens,
            join=runtime.join,
        )
        self.prompts, self.decoder, self.join = self.language.prompts, self.language.decoder, self.language.join
        self._runtime, self._threads = runtime, threads
        self.on_full(self.encoder.forget_most)

    @classmethod
    def open(
        cls,
        model_dir: str | Path,
        provider: str = "auto",
        threads: int = 0,
        allow_fallback: bool = False,
        engines: Engines = DEFAULT_ENGINES,
        max_memory: int = 0,
    ) -> GarEngine:
        """The engine of an exported model folder, checked and loaded.

        provider, threads, allow_fallback, engines: as `runtime.select.with_runtime` takes them. max_memory: bytes that
        a request may take besides the model; 0 for what is available.
        Raises GarError BAD_MODEL, INVALID_REQUEST.
        """
        start = time.perf_counter()
        model = ModelDir.open(model_dir)
        load = partial(cls, model, max_memory=max_memory, threads=threads)
        engine = with_runtime(model, provider, threads, allow_fallback, engines, load)
        _log.info("loaded %s from '%s' in %.1f s", model.manifest.name, model.path, time.perf_counter() - start)
        return engine

    def on_full(self, forget: Callable[[], object]) -> None:
        """Where a GPU's memory is full, `forget` is called before the second and last try instead of emptying the cache
        of tiles. forget: a method of an object that is kept elsewhere, see `MemoryBudget.forget_most`."""
        self._runtime.on_full(forget)

    def close(self) -> None:
        """Gives the GPU's memory back; what still holds some of it does so with its end. Can't be used afterwards."""
        self._runtime.close()

    def parse(
        self,
        question: str | None,
        choices: Sequence[str],
        regions: int,
        max_tokens: int = 1,
        video: bool = False,
        turn: bool = False,
    ) -> Question:
        """The question as token ids, as an encoded frame takes it. What can't be asked is refused before encoding.

        question: None to have the region described. choices: empty for an open question. regions: number of
        regions that the question is about; 1 for a video. max_tokens: only checked. turn: whether it
        continues a conversation.
        Raises GarError INVALID_REQUEST, TOO_MANY_REGIONS, PROMPT_WITHOUT_REGION.
        """
        check_max_tokens(max_tokens)
        if question is None:
            return self.prompts.parse_caption(regions, "video" if video else "caption")
        parse = self.prompts.parse_turn if turn else self.prompts.parse
        return parse(question, choices, regions, "video" if video else "question")

    def encode(
        self,
        image: NDArray[np.uint8],
        regions: Sequence[Region],
        max_tiles: int | None = None,
        raise_if_cancelled: CancelCheck = never_cancelled,
    ) -> EncodedFrame:
        """The encoded frame of an RGB image (H, W, 3) uint8 and its regions; <PromptN> will be regions[N].

        max_tiles: largest number of tiles; None for the model's. raise_if_cancelled: called between steps, raises
        GarError to stop.
        Raises GarError INVALID_REQUEST, also when it would take too much memory, TOO_MANY_REGIONS, QUESTION_TOO_LONG.
        """
        check_image(image, regions, self.prompts.max_regions)
        encoded = self.encode_image(image, regions, max_tiles, raise_if_cancelled)
        check_context(len(encoded.features), len(regions), self.manifest.sizes)
        return EncodedFrame(self.language, tuple(regions), encoded.features, encoded.replay, encoded.seconds)

    @failures_are_typed()
    def encode_image(
        self,
        image: NDArray[np.uint8],
        regions: Sequence[Region],
        max_tiles: int | None = None,
        raise_if_cancelled: CancelCheck = never_cancelled,
    ) -> EncodedImage:
        """The features and replay tokens of an RGB image (H, W, 3) uint8 with any number of regions, all prompted.

        max_tiles, raise_if_cancelled: see `encode`. Raises GarError INVALID_REQUEST, QUESTION_TOO_LONG.
        """
        check_image(image, regions, len(regions))
        check_max_tiles(max_tiles, self.manifest.tiles.max_tiles)
        height, width = image.shape[:2]
        rule, sizes = self.manifest.tiles, self.manifest.sizes
        seconds: Timings = {}
        with stage(seconds, "tile"):
            grid = tile_grid(width, height, max_tiles or rule.max_tiles, sizes.tile)
            tiles = grid[0] * grid[1] + rule.thumbnail
            check_context(tiles, 1, sizes)
            self._memory.check(self.manifest, tiles, len(regions), self._tiles_per_run)
            pixels = tile_pixels(image, grid, sizes.tile, rule.thumbnail, self._threads)
            inside = prompted([region.mask for region in regions], grid, sizes.tile, rule.thumbnail)
        with stage(seconds, "vision"):
            features = self.encoder.encode(pixels, inside, raise_if_cancelled)
        raise_if_cancelled()
        with stage(seconds, "replay"):
            replay = self._replay(features[1:] if rule.thumbnail else features, regions, grid)
        return EncodedImage(features, replay, seconds)

    @failures_are_typed()
    def from_features(
        self, features: Rows, regions: Sequence[Region], replays: Sequence[Rows], shared: SharedPrefix | None = None
    ) -> EncodedFrame:
        """The encoded frame of some regions of an `EncodedImage`, without another vision pass.

        features: (T, g * g, H) of the image. replays: the replay tokens (1, g * g, H) of each region. shared: the
        image's, with which the image's tokens are read once for all its frames; its memory is the caller's to count.
        Raises GarError TOO_MANY_REGIONS, QUESTION_TOO_LONG.
        """
        check_count(len(regions), self.prompts.max_regions)
        check_context(len(features), len(regions), self.manifest.sizes)
        self._memory.check(self.manifest, len(features), len(regions), tiles_per_run=0)
        return EncodedFrame(self.language, tuple(regions), features, self.join(replays), {}, shared=shared)

    @failures_are_typed()
    def encode_video(
        self, frames: Sequence[VideoFrame], raise_if_cancelled: CancelCheck = never_cancelled
    ) -> EncodedFrame:
        """The encoded frame of one object in several images of a video, in their order; it will be <Prompt0>.

        Experimental. As in the released code each image is one tile without a thumbnail, replay tokens are read from
        each image by itself, and each has its own crop token, so at most as many images as the model has prompts.
        Images may differ in size. raise_if_cancelled: called between steps, raises GarError to stop.
        Raises GarError INVALID_REQUEST, QUESTION_TOO_LONG.
        """
        check_frames(len(frames), self.prompts.max_regions)
        for image, region in frames:
            check_image(image, [region], 1)
        check_context(len(frames), len(frames), self.manifest.sizes)
        self._memory.check(self.manifest, len(frames), len(frames), self._tiles_per_run)
        side, grid = self.manifest.sizes.tile, (1, 1)
        seconds: Timings = {}
        with stage(seconds, "tile"):
            tiles = [tile_pixels(image, grid, side, False, self._threads) for image, _ in frames]
            pixels = np.concatenate(tiles)
            inside = np.concatenate([prompted([region.mask], grid, side, thumbnail=False) for _, region in frames])
        with stage(seconds, "vision"):
            features = self.encoder.encode(pixels, inside, raise_if_cancelled)
        raise_if_cancelled()
        with stage(seconds, "replay"):
            replays = [self._replay(features[i : i + 1], [region], grid) for i, (_, region) in enumerate(frames)]
        regions = tuple(region for _, region in frames)
        return EncodedFrame(self.language, regions, features, self.join(replays), seconds, video=True)

    def _replay(self, tiles: Rows, regions: Sequence[Region], grid: Grid) -> Rows:
        """Replay tokens (R, g * g, H) of R regions from an image's tiles (tiles_h * tiles_w, g * g, H)."""
        manifest = self.manifest
        wy, wx = replay_weights(region_boxes(regions), grid, manifest.sizes.grid, manifest.roi_convention)
        return self.join([self.replayer.run({"tile_features": tiles, "wy": wy, "wx": wx})["replay"]])
