# SPDX-License-Identifier: Apache-2.0
"""The released way in torch, measured for `gar bench latency` in a process of its own.

Each question encodes the thumbnail and all tiles, reads the whole prompt and decodes greedily with a KV cache, eagerly
in float32; nothing is kept for the next one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import DynamicCache

from gar_export.checkpoint import load_checkpoint
from gar_export.model import GarModel
from gar_export.tokens import prompt_builder
from gar_ros.bench.latency.limits import MATRIX_SIDES, best_flops, best_seconds
from gar_ros.bench.latency.scene import Scene
from gar_ros.bench.latency.work import QUESTION, Case, Work
from gar_ros.bench.latency.worker import Recorder, serve, tell
from gar_ros.engine.prompt import PromptBuilder
from gar_ros.engine.replay import mask_boxes, replay_weights
from gar_ros.engine.tiling import normalise, prompted, tile_grid, tile_pixels
from gar_ros.errors import GarError

_FLOAT_BYTES = 4
_READ_VALUES = 1 << 27


class Released:
    """One question after another, each from the image on."""

    def __init__(self, model: GarModel, prompts: PromptBuilder, scene: Scene, limits: bool) -> None:
        """limits: whether the first pass is followed by measuring what torch makes of the machine."""
        self._model, self._prompts, self._scene, self._limits = model, prompts, scene, limits

    @torch.inference_mode()
    def do(self, work: Work, recorder: Recorder) -> None:
        """One pass on the frame, as any question of the case's kind takes it."""
        image = self._scene.new_frame(work.frame)
        with recorder.step("pass") as mark:
            tiles, prompt = self._answer(work.case, image, mark)
        recorder.count(tiles=tiles, prompt_tokens=prompt, **costs(self._model, prompt))
        if self._limits:
            self._limits = False
            recorder.count(bandwidth=bandwidth(), flops=best_flops(multiplication, MATRIX_SIDES))

    def _answer(self, case: Case, image: NDArray[np.uint8], mark: Callable[[], None]) -> tuple[int, int]:
        """Marks the end of the encoding and each token; gives the numbers of tiles and of prompt tokens."""
        model, config = self._model, self._model.config
        # A graph's questions are about two regions each, a description is of one.
        regions = {"graph": 2, "descriptions": 1}.get(case.kind, case.regions)
        masks = list(self._scene.masks[self._scene.asked(regions)])
        grid = tile_grid(image.shape[1], image.shape[0], case.tiles, config.tile)
        pixels = tile_pixels(image, grid, config.tile, config.thumbnail)
        inside = prompted(masks, grid, config.tile, config.thumbnail)
        features = model.encode_tiles(
            torch.from_numpy(normalise(pixels, config.mean, config.std)),
            torch.from_numpy(inside[:, None].astype(np.float32)),
        )
        wy, wx = replay_weights(mask_boxes(masks), grid, config.grid, config.roi_convention)
        of_grid = features[1:] if config.thumbnail else features
        replay = model.replay(of_grid, grid, torch.from_numpy(wy), torch.from_numpy(wx))
        mark()
        ids = self._prompt(case, len(features), len(masks))
        embeds = model.splice(torch.tensor([ids]), features[None], replay[None])
        cache = DynamicCache()
        for _ in range(case.tokens):
            start = cache.get_seq_length()
            positions = torch.arange(start, start + embeds.shape[1])[None]
            logits = model.head(model.hidden_states(embeds, positions, cache=cache)[0, -1])
            embeds = model.embed(logits.argmax()[None, None])
            mark()
        return len(features), len(ids)

    def _prompt(self, case: Case, tiles: int, regions: int) -> list[int]:
        if case.kind == "descriptions":
            return self._prompts.prefix("caption", tiles, 1) + self._prompts.caption_request()
        return self._prompts.prefix("question", tiles, regions) + self._prompts.question(QUESTION, regions)


def costs(model: GarModel, prompt: int) -> dict[str, float]:
    """Floating-point operations, and bytes that a token reads, of the parts of a pass; a multiply-add counts as two.

    tile_flops: for each matrix of the ViT and the projector 2 x its size x the tile's patches (the class token with
    them), and 4 x patches^2 x width for the attention of each layer. prefill_flops: 2 x size x tokens for each matrix
    of the decoder, 2 x tokens^2 x width for the attention of each layer, half of it being masked, and the head for one
    token. decoder_bytes: all of the decoder's weights with its head, float32.
    """
    config, text = model.config, model.config.decoder
    patches = (config.tile // config.patch) ** 2
    positions, layers = patches + config.class_token, len(model.vit.blocks)
    projector = model.mllm.model.multi_modal_projector
    tile_flops = (
        2 * positions * matrix_sizes(model.vit.blocks)
        + 4 * positions**2 * config.vision_width * layers
        + 2 * patches * (matrix_sizes(projector) + matrix_sizes(model.vit.patch_embed))
        + 2 * patches * config.patch**2 * config.vision_width
    )
    matrices, head = matrix_sizes(model.mllm.model.language_model.layers), text.vocab * text.hidden
    attention = 2 * prompt**2 * text.heads * text.head_dim * text.layers
    return {
        "tile_flops": tile_flops,
        "prefill_flops": 2 * prompt * matrices + attention + 2 * head,
        "decoder_bytes": _FLOAT_BYTES * (matrices + head),
    }


def matrix_sizes(module: nn.Module) -> int:
    """Number of values of all matrices, kernels of convolutions among them."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.ndim > 1)


def multiplication(side: int) -> Callable[[], object]:
    """Multiplies two matrices of this side."""
    left, right = torch.rand(2, side, side)
    return lambda: left @ right


def bandwidth() -> float:
    """Bytes a second at which all threads together read memory: the best of several readings."""
    values = torch.ones(_READ_VALUES)
    return values.nbytes / best_seconds(values.sum)


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--scene", type=Path, required=True)
    parser.add_argument("--limits", action="store_true")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        model, config = load_checkpoint(args.checkpoint)
        prompts = prompt_builder(args.checkpoint, config)
    except GarError as error:
        tell(sys.stdout, {"error": error.message})
        return 2
    serve(Released(model.requires_grad_(False), prompts, Scene.read(args.scene), args.limits).do)
    return 0
