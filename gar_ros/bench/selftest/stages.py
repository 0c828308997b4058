# SPDX-License-Identifier: Apache-2.0
"""The stages of a question, as the CPU computes them and as a provider does, each on the CPU's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gar_ros.bench.latency.scene import Scene, drawn_scene
from gar_ros.bench.latency.work import CHOICES, FURTHER
from gar_ros.bench.selftest.allowed import allowed_for
from gar_ros.bench.selftest.row import Row, compared, failed
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION
from gar_ros.engine.replay import region_boxes, replay_weights
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.tiling import Grid, prompted, tile_grid, tile_pixels
from gar_ros.errors import LEAVING, reason_of

REGIONS = 2
STEPS = 4
"""Tokens that are decoded one after another."""

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Stages:
    """What the CPU computed.

    features (T, g * g, H), replay (R, g * g, H). embeds: (L, H) of the whole prompt. prefill: logits (1, V) that follow
    it. tokens: (STEPS,) that come next. decode: logits (STEPS, V) that follow each. probabilities: of the choices.
    """

    features: Floats
    replay: Floats
    embeds: Floats
    prefill: Floats
    tokens: NDArray[np.int64]
    decode: Floats
    probabilities: Floats

    def write(self, path: Path) -> None:
        """Into an .npz file."""
        np.savez(path, **vars(self))

    @classmethod
    def read(cls, path: Path) -> Stages:
        """From the file that `write` has made."""
        with np.load(path) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files})


class Setting:
    """The scene and what the host makes of it for a model, the same on every side."""

    def __init__(self, engine: GarEngine, max_tiles: int, scene: Scene | None = None) -> None:
        """max_tiles: the most that the image may take, without the thumbnail."""
        self.scene = scene or drawn_scene()
        self.engine = engine
        manifest = engine.manifest
        sizes, rule = manifest.sizes, manifest.tiles
        self.max_tiles = min(max_tiles, rule.max_tiles)
        image = self.scene.image
        self.regions = self.scene.regions(self.scene.asked(min(REGIONS, len(manifest.tokens.prompts))))
        self.grid: Grid = tile_grid(image.shape[1], image.shape[0], self.max_tiles, sizes.tile)
        self.pixels = tile_pixels(image, self.grid, sizes.tile, rule.thumbnail)
        self.inside = prompted([region.mask for region in self.regions], self.grid, sizes.tile, rule.thumbnail)

    def features(self) -> Floats:
        """Of the thumbnail and all tiles."""
        return on_host(self.engine.encoder.encode(self.pixels, self.inside, never_cancelled)).astype(np.float32)

    def replay(self, features: Floats) -> Floats:
        """Of the regions."""
        manifest = self.engine.manifest
        tiles = features[1:] if manifest.tiles.thumbnail else features
        boxes = region_boxes(self.regions)
        wy, wx = replay_weights(boxes, self.grid, manifest.sizes.grid, manifest.roi_convention)
        outputs = self.engine.replayer.run({"tile_features": tiles, "wy": wy, "wx": wx})
        return outputs["replay"].numpy().astype(np.float32)

    def embeds(self, features: Floats, replay: Floats) -> Floats:
        """Of the prompt of a question with choices, from the first token on."""
        prompts, tokens = self.engine.prompts, self.engine.manifest.tokens
        prefix = prompts.prefix("question", len(features), len(replay))
        question = self.engine.parse(FURTHER, CHOICES, len(self.regions)).ids
        ids = np.array([*prefix, *question], np.int64)
        rows = self.engine.decoder.embed(ids.tolist())
        for token, values in ((tokens.image, features), *zip(tokens.crops, replay, strict=False)):
            rows[ids == token] = values.reshape(-1, rows.shape[1])
        return rows

    def prefill(self, embeds: Floats) -> tuple[KvCache, Floats]:
        """The KV cache of the prompt, and the logits (V,) that follow it."""
        decoder = self.engine.decoder
        return decoder.prefill_logits(decoder.empty, embeds, never_cancelled)

    def decode(self, cache: KvCache, token: int) -> tuple[KvCache, Floats]:
        """The KV cache with one more token, and the logits (V,) that follow it."""
        decoder = self.engine.decoder
        return decoder.prefill_logits(cache, decoder.embed([token]), never_cancelled)

    def probabilities(self) -> Floats:
        """Of the choices, from the image on."""
        frame = self.engine.encode(self.scene.image, self.regions, self.max_tiles)
        return np.array(frame.ask(FURTHER, CHOICES).probabilities)


def stages_of(setting: Setting) -> Stages:
    """All stages, one after another, each with what the one before gave."""
    features = setting.features()
    replay = setting.replay(features)
    embeds = setting.embeds(features, replay)
    cache, prefill = setting.prefill(embeds)
    tokens, decoded = [int(prefill.argmax())], list[Floats]()
    for _ in range(STEPS):
        cache, logits = setting.decode(cache, tokens[-1])
        decoded.append(logits)
        tokens.append(int(logits.argmax()))
    followed = np.array(tokens[:STEPS], np.int64)
    return Stages(features, replay, embeds, prefill[None], followed, np.stack(decoded), setting.probabilities())


def comparisons(setting: Setting, expected: Stages) -> Iterator[Row]:
    """A row for each stage as soon as it is computed; one that fails is told, and the others go on."""
    engine = setting.engine
    dtypes, provider = engine.manifest.dtypes, engine.provider
    of_decoder = allowed_for(dtypes.get(DECODER, ""), provider)
    logits = of_decoder.logits
    caches: list[KvCache] = []

    def features() -> Row:
        limit = allowed_for(dtypes.get(VISION, ""), provider).features
        return compared("vision: features", setting.features(), expected.features, limit)

    def replay() -> Row:
        limit = allowed_for(dtypes.get(REPLAY, ""), provider).replay
        return compared("replay: tokens", setting.replay(expected.features), expected.replay, limit)

    def prefill() -> Row:
        cache, found = setting.prefill(expected.embeds)
        caches.append(cache)
        return compared("decoder: prefill logits", found[None], expected.prefill, logits)

    def decode() -> Row:
        if not caches:
            return failed("decoder: decode logits", "there is no prefill to go on from")
        found, cache = list[Floats](), caches[0]
        for token in expected.tokens:
            cache, after = setting.decode(cache, int(token))
            found.append(after)
        return compared("decoder: decode logits", np.stack(found), expected.decode, logits)

    def question() -> Row:
        return answered(setting.probabilities(), expected.probabilities, _widest(dtypes, provider))

    stages: dict[str, Callable[[], Row]] = {
        "vision: features": features,
        "replay: tokens": replay,
        "decoder: prefill logits": prefill,
        "decoder: decode logits": decode,
        "question: answer": question,
    }
    for name, stage in stages.items():
        yield attempted(name, stage)


def attempted(name: str, stage: Callable[[], Row]) -> Row:
    """The stage's row, or what it failed with."""
    try:
        return stage()
    except LEAVING:
        raise
    except BaseException as error:  # noqa: BLE001 a runtime may raise anything
        return failed(name, reason_of(error))


def answered(found: Floats, expected: Floats, allowed: float) -> Row:
    """Probabilities of the choices: the same one is the likeliest, unless the CPU's two are nearly as likely."""
    own, other = int(expected.argmax()), int(found.argmax())
    difference = float(np.abs(found - expected).max())
    tie = float(expected[own] - expected[other])
    same = "the same choice" if own == other else f"choice {other} instead of {own}, {tie:.3f} less likely"
    text = f"{same}, probabilities differ by {difference:.2g} (allowed {allowed:g})"
    ok = difference <= allowed and tie <= allowed
    return Row("question: answer", ok, text, {"difference": difference, "allowed_difference": allowed, "tie": tie})


def _widest(dtypes: Mapping[str, str], provider: str) -> float:
    """Through all graphs, the least precise one counts."""
    return max(allowed_for(dtypes.get(graph, ""), provider).probability for graph in (VISION, REPLAY, DECODER))
