# SPDX-License-Identifier: Apache-2.0
"""Compares an exported model folder, as the runtime runs it, with the torch model of its checkpoint, stage by stage."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from gar_export.bfloat16 import write_for_the_cpu
from gar_export.checkpoint import Weights, load_model
from gar_export.config import GarConfig, bad_model
from gar_export.dequantise import exact_runner, round_decoder, round_vision
from gar_export.exporter import weights_sha256
from gar_export.model import GarModel
from gar_export.synthetic import QUESTION, synthetic_image
from gar_export.tokens import prompt_builder
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.decoder import Decoder
from gar_ros.engine.encoder import TileEncoder
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, VISION
from gar_ros.engine.prompt import PromptBuilder
from gar_ros.engine.replay import mask_boxes, replay_weights
from gar_ros.engine.runtime.protocol import Runner, on_host
from gar_ros.engine.tiling import normalise, prompted, tile_grid, tile_pixels


@dataclass(frozen=True)
class Tolerances:
    """Relative to the stage's largest value when that is above 1."""

    features: float
    replay: float
    logits: float
    answers: float  # of the logits as the engine computes them, which decide greedy ids


TOLERANCES = {
    "float32": Tolerances(2e-5, 1e-5, 3e-4, 3e-4),
    "float16": Tolerances(5e-3, 2e-3, 2e-2, 2e-2),
    "bfloat16": Tolerances(5e-2, 1e-5, 0.1, 0.1),
    "int4-float16": Tolerances(5e-3, 2e-3, 2e-2, 2e-2),
    "int8": Tolerances(2e-5, 1e-5, 3e-4, 0.3),
    "int4": Tolerances(2e-5, 1e-5, 3e-4, 0.3),
}
"""By the decoder's type in the manifest.

Of a decoder of 8 or 4 bits two things are checked: that its stored weights are the checkpoint's, rounded, as tightly as
in float32 (torch with the rounded weights against the graph computing in float32); and that computing as the engine
does, with activations in int8, stays near that. The second bound is a measured one, see
docs/full_size.md. How much the rounding of the weights costs is no question of export: ask the model.
"""

MOVED = 0.1
"""How far int8 may move a token of the image features, relative to its length.

A gate rather than a check of the export: trained weights can have outliers that random ones don't have, and such a
model needs vision in float32. gar-tiny's tokens move by up to 0.04, which costs it nothing (docs/full_size.md).
"""

EXACT = 0.0

_BITS = {"int8": 8, "int4": 4}
_TABLE_ROWS = 8192

GREEDY_TOKENS = 16


@dataclass(frozen=True)
class Stage:
    """The largest difference of one stage, and the largest allowed."""

    name: str
    difference: float
    allowed: float

    @property
    def passed(self) -> bool:
        """NaN never passes."""
        return self.difference <= self.allowed


def verify(
    model_dir: str | Path, checkpoint: str | Path | None = None, threads: int = 0, provider: str = "cpu"
) -> Iterator[Stage]:
    """The stages of a model folder, one by one, on a synthetic image with two regions.

    checkpoint: its folder, by default the one that the manifest names. provider: what runs the graphs. Each stage
    gets the torch model's inputs, so a difference is its own; the last one runs the engine from image to ids. Raises
    GarError BAD_MODEL when either folder can't be used or the checkpoint is not the one that was exported.
    """
    with tempfile.TemporaryDirectory() as temporary:
        engine = GarEngine.open(_on_the_cpu(Path(model_dir), Path(temporary)), provider=provider, threads=threads)
        yield from _verify(Path(model_dir), checkpoint, engine, threads)


def _on_the_cpu(model_dir: Path, temporary: Path) -> Path:
    """The folder, or where products are in bfloat16 one of the same numbers that the CPU can run."""
    if ModelDir.open(model_dir).manifest.dtypes[DECODER] != "bfloat16":
        return model_dir
    write_for_the_cpu(model_dir, temporary / "model")
    return temporary / "model"


def _verify(model_dir: Path, checkpoint: str | Path | None, engine: GarEngine, threads: int) -> Iterator[Stage]:
    """engine: of the folder, or of what computes its numbers."""
    manifest = ModelDir.open(model_dir).manifest
    folder = Path(checkpoint or model_dir / manifest.source["checkpoint"]).resolve()
    if not folder.is_dir():
        raise bad_model(f"expected the checkpoint folder {folder}; name it with --checkpoint")
    config, weights = GarConfig.read(folder), Weights(folder)
    exported, found = manifest.source["sha256"], weights_sha256(weights)
    if found != exported:
        raise bad_model(f"expected the checkpoint that was exported, of SHA-256 {exported}; {folder} has {found}")
    model = load_model(config, weights).requires_grad_(False)
    bits = _BITS.get(manifest.dtypes[DECODER])
    decoder = engine.decoder
    if manifest.dtypes[DECODER] == "int4-float16":
        round_decoder(model, 4, gpu=True)
    elif bits:
        round_decoder(model, bits)
        runner, embeddings = exact_runner(model_dir, DECODER, threads), ModelDir.open(model_dir).embeddings()
        decoder = Decoder(runner, embeddings, manifest.sizes, manifest.tokens.eos, manifest.kv_cache, manifest.tail)
    vision = exact_runner(model_dir, VISION, threads) if manifest.dtypes[VISION] in _BITS else None
    prompts = prompt_builder(folder, config)
    yield from _Comparison(engine, manifest.dtypes, vision, decoder, model, prompts).stages()


def greedy(model: GarModel, inputs_embeds: Tensor, steps: int) -> tuple[list[int], Tensor]:
    """`steps` greedy ids that follow inputs_embeds [1, L, H], and the logits [steps, V] they were taken from."""
    cache = DynamicCache()
    ids: list[int] = []
    logits: list[Tensor] = []
    while len(ids) < steps:
        start = cache.get_seq_length()
        positions = torch.arange(start, start + inputs_embeds.shape[1])[None]
        logits.append(model.head(model.hidden_states(inputs_embeds, positions, cache=cache)[0, -1]))
        ids.append(int(logits[-1].argmax()))
        inputs_embeds = model.embed(torch.tensor([[ids[-1]]]))
    return ids, torch.stack(logits)


class _Comparison:
    """Both models on the same inputs."""

    def __init__(
        self,
        engine: GarEngine,
        dtypes: Mapping[str, str],
        vision: Runner | None,
        decoder: Decoder,
        model: GarModel,
        prompts: PromptBuilder,
    ) -> None:
        """dtypes: of the exported graphs, as in the manifest. vision: computes the graph of few bits more exactly than
        the engine; None where it has no few bits. decoder: the engine's, or one that computes more exactly. prompts:
        the checkpoint's."""
        self.engine = engine
        self.vision = vision
        self.decoder = decoder
        self.model = model
        self.prompts = prompts
        self.rule, self.sizes = engine.manifest.tiles, engine.manifest.sizes
        self.max_tiles = min(self.rule.max_tiles, 2)
        self.image, self.regions = synthetic_image(self.sizes)
        self.dtypes = dtypes
        self.allowed = TOLERANCES[self.dtypes[DECODER]]

    def stages(self) -> Iterator[Stage]:
        """In the order of the data's way."""
        masks = [region.mask for region in self.regions]
        grid = tile_grid(self.image.shape[1], self.image.shape[0], self.max_tiles, self.sizes.tile)
        pixels = tile_pixels(self.image, grid, self.sizes.tile, self.rule.thumbnail)
        inside = prompted(masks, grid, self.sizes.tile, self.rule.thumbnail)

        mask_values = torch.from_numpy(inside[:, None].astype(np.float32))
        pixel_values = torch.from_numpy(normalise(pixels, self.rule.mean, self.rule.std))
        features = self.model.encode_tiles(pixel_values, mask_values)
        found = on_host(self.engine.encoder.encode(pixels, inside, never_cancelled))
        if self.vision:
            yield _moved_stage(found, features)
            round_vision(self.model, _BITS[self.dtypes[VISION]])
            features = self.model.encode_tiles(pixel_values, mask_values)
            exact = TileEncoder(self.vision, self.rule, cache_bytes=0, tiles_per_run=len(pixels))
            found = on_host(exact.encode(pixels, inside, never_cancelled))
        yield _stage("image features", found, features, self.allowed.features)

        tiles = features[1:] if self.rule.thumbnail else features
        wy, wx = replay_weights(mask_boxes(masks), grid, self.sizes.grid, self.model.config.roi_convention)
        replay = self.model.replay(tiles, grid, torch.from_numpy(wy), torch.from_numpy(wx))
        exported = self.engine.replayer.run({"tile_features": tiles.numpy(), "wy": wy, "wx": wx})["replay"].numpy()
        yield _stage("replay", exported, replay, self.allowed.replay)

        yield from self.decoder_stages(features, replay)

    def table_stage(self) -> Stage:
        """The embedding table, which is the checkpoint's, rounded to its own type. In pieces: it may be gigabytes."""
        table = self.model.mllm.get_input_embeddings().weight
        dtype = getattr(torch, self.dtypes.get(EMBEDDINGS, "float32"))
        largest = 0.0
        for start in range(0, self.sizes.vocab, _TABLE_ROWS):
            rows = range(start, min(start + _TABLE_ROWS, self.sizes.vocab))
            expected = table[rows.start : rows.stop].to(dtype).float().numpy()
            largest = max(largest, float(np.abs(self.decoder.embed(rows) - expected).max()))
        return Stage("embeddings", largest, EXACT)

    def decoder_stages(self, features: Tensor, replay: Tensor) -> Iterator[Stage]:
        """Prompt, embeddings, prefill, one step on the KV cache, and 16 ids from the image on."""
        decoder = self.decoder
        ids, exported_ids = (
            prompts.prefix("question", len(features), len(replay)) + prompts.question(QUESTION, len(replay))
            for prompts in (self.prompts, self.engine.prompts)
        )
        yield Stage("prompt ids", float(ids != exported_ids), EXACT)
        yield self.table_stage()

        embeds = self.model.splice(torch.tensor([ids]), features[None], replay[None])
        expected_ids, expected = greedy(self.model, embeds, GREEDY_TOKENS)
        cache, logits = decoder.prefill_logits(decoder.empty, embeds[0].numpy(), never_cancelled)
        yield _stage("prefill logits", logits, expected[0], self.allowed.logits)
        _, logits = decoder.prefill_logits(cache, decoder.embed(expected_ids[:1]), never_cancelled)
        yield _stage("decode step logits", logits, expected[1], self.allowed.logits)
        if decoder is not self.engine.decoder:
            own = self.engine.decoder
            _, logits = own.prefill_logits(own.empty, embeds[0].numpy(), never_cancelled)
            yield _stage("with int8 activations", logits, expected[0], self.allowed.answers)

        frame = self.engine.encode(self.image, self.regions, self.max_tiles)
        answer = frame.ask(QUESTION, max_tokens=GREEDY_TOKENS)
        ends = self.engine.manifest.tokens.eos
        end = next((step for step, token in enumerate(expected_ids) if token in ends), None)
        yield _ids_stage(answer.token_ids, expected_ids[:end], expected, self.allowed.answers)


def _stage(name: str, found: NDArray[np.float32], expected: Tensor, tolerance: float) -> Stage:
    reference = expected.numpy()
    return Stage(name, float(np.abs(found - reference).max()), tolerance * max(1.0, float(np.abs(reference).max())))


def _moved_stage(found: NDArray[np.float32], expected: Tensor) -> Stage:
    """The largest distance of a token [T, g*g, H] from the one expected, relative to the expected one's length."""
    reference = expected.numpy()
    distances = np.linalg.norm(found - reference, axis=-1) / np.linalg.norm(reference, axis=-1)
    return Stage("features in int8", float(distances.max()), MOVED)


def _ids_stage(found: tuple[int, ...], expected: list[int], logits: Tensor, tolerance: float) -> Stage:
    """Equal ids, or the first that differs was nearly a tie: the difference is the gap between the two logits."""
    allowed = tolerance * max(1.0, float(logits.abs().max()))
    if list(found) == expected:
        return Stage("greedy ids", 0.0, allowed)
    step = next((step for step, (a, b) in enumerate(zip(found, expected, strict=False)) if a != b), None)
    if step is None:
        return Stage("greedy ids", float("inf"), allowed)
    row = logits[step]
    return Stage("greedy ids", float(row[expected[step]] - row[found[step]]), allowed)
