"""Encode once, ask many: the engine's public face."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.decoder import Decoder, KvCache, Logits
from gar_ros.engine.encoder import Check, TileEncoder, no_check
from gar_ros.engine.manifest import DECODER, REPLAY, VISION, Manifest
from gar_ros.engine.model_dir import ModelDir
from gar_ros.engine.prompt import CAPTION_PROMPT, Form, PromptBuilder
from gar_ros.engine.replay import RoiConvention, region_boxes, replay_weights
from gar_ros.engine.requests import (
    check_context,
    check_frames,
    check_image,
    check_max_tiles,
    check_max_tokens,
    check_room,
    check_single,
)
from gar_ros.engine.runtime.choose import DEFAULT_ENGINES, Engines, open_runtime
from gar_ros.engine.runtime.runner import DeviceTensor, Rows, Runner, Runtime
from gar_ros.engine.tensorrt.profiles import most_tiles
from gar_ros.engine.tiling import Grid, prompted, tile_grid, tile_pixels
from gar_ros.region import Region, check_count

VideoFrame = tuple[NDArray[np.uint8], Region]
"""An RGB image (H, W, 3) uint8 and where the region is in it."""

Seconds = dict[str, float]
"""Stage -> wall clock seconds: tile, vision, replay (of the frame's encoding, the same in each of its answers), prefill
(0 when the prefix was there already), question, decode."""

_TILE_CACHE_BYTES = 256 << 20
_DEVICE_BATCH = 16  # tiles a run where a device wants work; the CPU gains nothing from more than one

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What the model says to one question."""

    text: str  # of a closed question: the choice as given
    token_ids: tuple[int, ...]  # without the end token
    choice: int  # index into the choices, -1 for an open question
    probabilities: tuple[float, ...]  # one for each choice, sum 1; empty for an open question
    confidence: float  # 0..1: of the choice, or the geometric mean of the probabilities of the text's and end token
    complete: bool  # False when the text was cut at max_tokens
    prompt_tokens: int
    generated_tokens: int  # 0 for a closed question
    seconds: Seconds


class GarEngine:
    """One model, loaded. Belongs to one thread at a time."""

    def __init__(self, model: ModelDir, runtime: Runtime, tile_cache_bytes: int = _TILE_CACHE_BYTES) -> None:
        """Raises GarError BAD_MODEL when a file can't be used. See also `open`."""
        self.manifest: Manifest = model.manifest
        self.provider: str = runtime.provider
        sizes, tokens = model.manifest.sizes, model.manifest.tokens
        self.prompts = PromptBuilder(tokens, model.manifest.prompt, sizes.tile_tokens, model.tokenizer())
        per_run = 1 if runtime.provider == "cpu" else min(_DEVICE_BATCH, most_tiles(model.manifest))
        self.join = runtime.join
        self.encoder = TileEncoder(
            runtime.load(model.file(VISION)), model.manifest.tiles, tile_cache_bytes, per_run, runtime.join
        )
        self.replayer: Runner = runtime.load(model.file(REPLAY))
        self.decoder = Decoder(runtime.load(model.file(DECODER)), model.embeddings(), sizes, tokens.eos)

    @classmethod
    def open(
        cls,
        model_dir: str | Path,
        provider: str = "auto",
        threads: int = 0,
        allow_fallback: bool = False,
        engines: Engines = DEFAULT_ENGINES,
    ) -> GarEngine:
        """Checks and loads an exported model folder.

        provider, threads, allow_fallback, engines: see runtime/choose.py. Raises GarError BAD_MODEL, INVALID_REQUEST.
        """
        start = time.perf_counter()
        model = ModelDir.open(model_dir)
        engine = cls(model, open_runtime(model, provider, threads, allow_fallback, engines))
        _log.info("loaded %s from '%s' in %.1f s", model.manifest.name, model.path, time.perf_counter() - start)
        return engine

    def encode(
        self,
        image: NDArray[np.uint8],
        regions: Sequence[Region],
        max_tiles: int | None = None,
        check: Check | None = None,
    ) -> EncodedFrame:
        """Encodes an RGB image (H, W, 3) uint8 with its regions; <PromptN> will be regions[N].

        max_tiles: at most the model's, which is the default. check: called between steps, raises GarError to stop.
        Raises GarError INVALID_REQUEST, TOO_MANY_REGIONS, QUESTION_TOO_LONG.
        """
        check_image(image, regions, self.prompts.max_regions)
        seen = self.see(image, regions, max_tiles, check)
        check_context(len(seen.features), len(regions), self.manifest.sizes)
        return EncodedFrame(self, tuple(regions), seen.features, seen.replay, seen.seconds)

    def see(
        self,
        image: NDArray[np.uint8],
        regions: Sequence[Region],
        max_tiles: int | None = None,
        check: Check | None = None,
    ) -> SeenImage:
        """Encodes an image once for any number of regions, all of them prompted; arguments and errors as `encode`."""
        check = check or no_check
        check_image(image, regions, len(regions))
        check_max_tiles(max_tiles, self.manifest.tiles.max_tiles)
        height, width = image.shape[:2]
        rule, sizes = self.manifest.tiles, self.manifest.sizes
        seconds: Seconds = {}
        with _stage(seconds, "tile"):
            grid = tile_grid(width, height, max_tiles or rule.max_tiles, sizes.tile)
            pixels = tile_pixels(image, grid, sizes.tile, rule.thumbnail)
            masks = [region.mask for region in regions]
            inside = prompted(masks, grid, sizes.tile, rule.thumbnail)
        check_context(len(pixels), 1, sizes)
        with _stage(seconds, "vision"):
            features = self.encoder.encode(pixels, inside, check)
        check()
        with _stage(seconds, "replay"):
            replay = self._replay(features[1:] if rule.thumbnail else features, masks, grid)
        return SeenImage(features, replay, seconds)

    def recall(self, features: Rows, regions: Sequence[Region], replays: Sequence[Rows]) -> EncodedFrame:
        """Some regions of an image that was seen, ready to be asked without another vision pass.

        features: (T, g * g, H) of `SeenImage`. replays: of each region (1, g * g, H). Raises GarError TOO_MANY_REGIONS,
        QUESTION_TOO_LONG.
        """
        check_count(len(regions), self.prompts.max_regions)
        check_context(len(features), len(regions), self.manifest.sizes)
        return EncodedFrame(self, tuple(regions), features, self.join(replays), {})

    def encode_video(self, frames: Sequence[VideoFrame], check: Check | None = None) -> EncodedFrame:
        """Encodes one object through several images of a video, in their order; it will be <Prompt0>. Experimental.

        The released model's way: one tile a frame and no thumbnail, replay from each frame alone, one crop token a
        frame, hence at most as many frames as the model has prompts. Frames may differ in size.
        Raises GarError INVALID_REQUEST, QUESTION_TOO_LONG.
        """
        check = check or no_check
        check_frames(len(frames), self.prompts.max_regions)
        for image, region in frames:
            check_image(image, [region], 1)
        check_context(len(frames), len(frames), self.manifest.sizes)
        side, one = self.manifest.sizes.tile, (1, 1)
        seconds: Seconds = {}
        with _stage(seconds, "tile"):
            pixels = np.concatenate([tile_pixels(image, one, side, thumbnail=False) for image, _ in frames])
            inside = np.concatenate([prompted([region.mask], one, side, thumbnail=False) for _, region in frames])
        with _stage(seconds, "vision"):
            features = self.encoder.encode(pixels, inside, check)
        check()
        with _stage(seconds, "replay"):
            masks = [region.mask for _, region in frames]
            replays = [self._replay(features[n : n + 1], [mask], one) for n, mask in enumerate(masks)]
        regions = tuple(region for _, region in frames)
        return EncodedFrame(self, regions, features, self.join(replays), seconds, video=True)

    def check_request(
        self, regions: int, question: str | None, choices: Sequence[str] = (), max_tokens: int = 1
    ) -> None:
        """Refuses what asking about so many regions would refuse, before anything is encoded.

        regions: 1 for a video. question: None for a description. Raises as `EncodedFrame.ask` and `describe` do.
        """
        check_count(regions, self.prompts.max_regions)
        check_max_tokens(max_tokens)
        if question is None:
            check_single(regions)
        else:
            self.prompts.question(question, regions)
            if choices:
                self.prompts.choices(choices, regions)

    def _replay(self, tiles: Rows, masks: Sequence[NDArray[np.bool_]], grid: Grid) -> Rows:
        """Replay tokens (R, g * g, H) of R masks from an image's tiles (tiles_h * tiles_w, g * g, H)."""
        convention = cast(RoiConvention, self.manifest.roi_convention)
        wy, wx = replay_weights(region_boxes(masks), grid, self.manifest.sizes.grid, convention)
        return self.join([self.replayer.run({"tile_features": tiles, "wy": wy, "wx": wx})["replay"]])


@dataclass(frozen=True, eq=False)
class SeenImage:
    """An encoded image. features: (T, g * g, H) of the thumbnail and tiles. replay: (R, g * g, H) of its R regions."""

    features: Rows
    replay: Rows
    seconds: Seconds


class EncodedFrame:
    """An image with its regions, or one region through a video, ready to be asked. Made by `GarEngine`.

    Owns features, replay tokens and the KV caches of its prefixes; asking never changes them, so questions can be
    repeated, reordered and cancelled.
    """

    def __init__(
        self,
        engine: GarEngine,
        regions: tuple[Region, ...],
        features: Rows,
        replay: Rows,
        seconds: Seconds,
        video: bool = False,
    ) -> None:
        """features: (T, g * g, H) of the thumbnail and tiles. replay: (R, g * g, H). video: a region for each frame."""
        self.regions = regions
        self._prompts = 1 if video else len(regions)
        self._question_form: Form = "video" if video else "question"
        self._caption_form: Form = "video" if video else "caption"
        self._engine = engine
        self._features = features
        self._replay = replay
        self._seconds = seconds
        self._prefixes: dict[Form, KvCache] = {}

    def ask(
        self, question: str, choices: Sequence[str] = (), max_tokens: int = 64, check: Check | None = None
    ) -> Answer:
        """Answers a question about <Prompt0>.. in free text, or, with choices, by the likelihood of each.

        max_tokens limits free text. Raises GarError INVALID_REQUEST, PROMPT_WITHOUT_REGION, QUESTION_TOO_LONG, or
        what `check` raises.
        """
        asked = self._engine.prompts.question(question, self._prompts, self._question_form)
        if choices:
            return self._choose(asked, choices, check or no_check)
        return self._write(self._question_form, asked, max_tokens, check or no_check)

    def describe(self, max_tokens: int = 128, check: Check | None = None) -> Answer:
        """Describes the frame's single region with the released caption prompt. Raises as `ask` does."""
        check_single(self._prompts)
        return self._write(self._caption_form, self._engine.prompts.caption_request(), max_tokens, check or no_check)

    def _write(self, form: Form, asked: list[int], max_tokens: int, check: Check) -> Answer:
        check_max_tokens(max_tokens)
        decoder, seconds = self._engine.decoder, dict(self._seconds)
        cache, logits = self._read(form, asked, max_tokens, seconds, check)
        with _stage(seconds, "decode"):
            generated = decoder.generate(cache, logits, max_tokens, check)
        return Answer(
            text=self._engine.prompts.decode(generated.ids),
            token_ids=generated.ids,
            choice=-1,
            probabilities=(),
            confidence=float(np.exp(generated.mean_log_p)),
            complete=generated.complete,
            prompt_tokens=cache.length,
            generated_tokens=len(generated.ids),
            seconds=seconds,
        )

    def _choose(self, asked: list[int], choices: Sequence[str], check: Check) -> Answer:
        decoder, seconds = self._engine.decoder, dict(self._seconds)
        ids = self._engine.prompts.choices(choices, self._prompts)
        cache, logits = self._read(self._question_form, asked, max(map(len, ids)), seconds, check)
        with _stage(seconds, "decode"):
            scores = decoder.log_likelihoods(cache, logits, ids, check)
        weights = np.exp(scores - scores.max())
        probabilities = weights / weights.sum()
        choice = int(probabilities.argmax())
        return Answer(
            text=choices[choice],
            token_ids=tuple(ids[choice]),
            choice=choice,
            probabilities=tuple(probabilities.tolist()),
            confidence=float(probabilities[choice]),
            complete=True,
            prompt_tokens=cache.length,
            generated_tokens=0,
            seconds=seconds,
        )

    def _read(
        self, form: Form, asked: list[int], answer_tokens: int, seconds: Seconds, check: Check
    ) -> tuple[KvCache, Logits]:
        """The KV cache of prefix and question and the logits of the answer's first token, if all of it fits."""
        engine = self._engine
        ids = engine.prompts.prefix(form, len(self._features), len(self.regions))
        check_room(len(asked), len(ids), answer_tokens, engine.manifest.sizes)
        with _stage(seconds, "prefill"):
            if form not in self._prefixes:
                self._prefixes[form], _ = engine.decoder.prefill(engine.decoder.empty, self._embed(form, ids), check)
        with _stage(seconds, "question"):
            return engine.decoder.prefill(self._prefixes[form], engine.decoder.embed(asked), check)

    def _embed(self, form: Form, ids: list[int]) -> Rows:
        """Embeddings (L, H) of a prefix, with the features in the places of image and crop tokens."""
        tokens = self._engine.manifest.tokens
        first = CAPTION_PROMPT if form == "caption" else 0
        features = {crop: [rows] for crop, rows in zip(tokens.crops[first:], self._replay, strict=False)}
        features[tokens.image] = list(self._features)
        parts: list[NDArray[np.float32] | DeviceTensor] = []
        for token, run in groupby(ids, key=lambda id: id if id in features else None):
            parts += [self._engine.decoder.embed(list(run))] if token is None else features[token]
        return self._engine.join(parts)


@contextmanager
def _stage(seconds: Seconds, name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start
