# SPDX-License-Identifier: Apache-2.0
"""A checkpoint of GAR-1B's or GAR-8B's real dimensions with random weights, in the released format.

    python -m gar_export.random_checkpoint --size 1b --tokenizer-from DIR --out DIR

It shows that export and runtime stand that size, and what they cost. Answers mean nothing. The tokenizer, the chat
template and whatever the sizes don't fix in the config are copied from another checkpoint folder in that format: unless
that is a released one, the tokenizer is a stand-in.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gar_export.checkpoint import HEAD, SMALL_FILES, write_shards
from gar_export.config import CONFIG, PREPROCESSOR, GarConfig, read_json
from gar_export.model import empty_model
from gar_ros.errors import ErrorCode, GarError

SIZES: dict[str, dict[str, Any]] = {
    "1b": {
        "text": {
            "hidden_size": 2048,
            "num_hidden_layers": 16,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 64,
            "intermediate_size": 8192,
            "tie_word_embeddings": True,
        },
        "rope_factor": 32.0,
        "architecture": "vit_pe_core_large_patch14_336",
        "vision": {"embed_dim": 1024, "depth": 23},
        "class_token": True,
        "max_num_tiles": 16,
    },
    "8b": {
        "text": {
            "hidden_size": 4096,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 14336,
            "tie_word_embeddings": False,
        },
        "rope_factor": 8.0,
        "architecture": "vit_pe_core_gigantic_patch14_448",
        "vision": {"embed_dim": 1536, "depth": 47},
        "class_token": False,
        "max_num_tiles": 8,
    },
}
"""What differs between the released sizes (FACTS of the released config.json files)."""

_DTYPE = torch.bfloat16
_SHARD_BYTES = 1_000_000_000
_EMBEDDING_STD = 0.02


def write_random_checkpoint(
    size: str, like: Path, out: Path, layers: int | None = None, vision_layers: int | None = None, seed: int = 0
) -> None:
    """Writes the folder `out`, bfloat16, in shards of about 1 GB that are made one after the other.

    size: a key of SIZES. like: the folder that gives tokenizer, template and the rest of the config. layers,
    vision_layers: fewer than the real model has. Raises GarError BAD_MODEL or, if `out` exists, INVALID_REQUEST.
    """
    if out.exists():
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected --out to be a new folder, {out} exists")
    config, preprocessor = sized(size, read_json(like / CONFIG), read_json(like / PREPROCESSOR), layers, vision_layers)
    gar_config = GarConfig.from_json(config, preprocessor)
    out.mkdir(parents=True)
    for name in set(SMALL_FILES) - {CONFIG, PREPROCESSOR}:
        if (like / name).is_file():
            shutil.copyfile(like / name, out / name)
    (out / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    (out / PREPROCESSOR).write_text(json.dumps(preprocessor, indent=1) + "\n", encoding="utf-8")
    shapes = weight_shapes(gar_config)
    sizes = {name: math.prod(shape) * _DTYPE.itemsize for name, shape in shapes.items()}
    depth = gar_config.decoder.layers
    write_shards(sizes, lambda name: random_weight(name, shapes[name], depth, seed), out, _SHARD_BYTES)


def sized(
    size: str,
    config: dict[str, Any],
    preprocessor: dict[str, Any],
    layers: int | None = None,
    vision_layers: int | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json of a released size, from those of another checkpoint (changed in place).

    layers and vision_layers as in `write_random_checkpoint`.
    """
    wanted = SIZES[size]
    mllm = config["mllm_config"]
    text, vision = mllm["text_config"], mllm["vision_config"]
    text.update(wanted["text"])
    text["rope_scaling"]["factor"] = wanted["rope_factor"]
    text["num_hidden_layers"] = layers or text["num_hidden_layers"]
    vision["architecture"] = wanted["architecture"]
    vision["model_args"].update(wanted["vision"])
    vision["model_args"]["depth"] = vision_layers or vision["model_args"]["depth"]
    vision["num_features"] = config["mask_path_embedding_out_channels"] = vision["model_args"]["embed_dim"]
    mllm["vision_use_cls_token"] = wanted["class_token"]
    preprocessor["max_num_tiles"] = wanted["max_num_tiles"]
    return config, preprocessor


def weight_shapes(config: GarConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every tensor in a checkpoint of this config, sorted by name; a tied head is not among them."""
    state = empty_model(config).state_dict()
    if config.decoder.tied_head:
        del state[HEAD]
    return {name: tuple(state[name].shape) for name in sorted(state)}


def random_weight(name: str, shape: tuple[int, ...], depth: int, seed: int) -> Tensor:
    """One tensor, bfloat16; it depends on name, shape, number of decoder layers and seed alone.

    The scales keep activations near 1 in every layer, far from float16's limits, and features as large as embeddings.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode(), seed))  # it takes 32 bits
    mean, std = _scale(name, shape, depth)
    return torch.empty(shape, dtype=_DTYPE).normal_(mean, std, generator=generator)


def _scale(name: str, shape: tuple[int, ...], depth: int) -> tuple[float, float]:
    """Mean and standard deviation of a weight."""
    if "norm" in name and name.endswith(".weight"):
        return 1.0, 0.1
    if ".gamma_" in name:
        return 0.1, 0.01
    if len(shape) == 1 or name.endswith(("cls_token", "pos_embed", "embed_tokens.weight", "lm_head.weight")):
        return 0.0, _EMBEDDING_STD
    fan_in = math.prod(shape[1:])
    if name.endswith(("o_proj.weight", "down_proj.weight")):
        return 0.0, (2 * depth * fan_in) ** -0.5
    if name.endswith("multi_modal_projector.linear_2.weight"):
        return 0.0, 2 * _EMBEDDING_STD * fan_in**-0.5
    return 0.0, fan_in**-0.5


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Write a random checkpoint of GAR's real dimensions.")
    parser.add_argument("--size", choices=sorted(SIZES), required=True)
    parser.add_argument("--tokenizer-from", type=Path, required=True, metavar="DIR", help="a checkpoint folder")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder")
    parser.add_argument("--layers", type=int, metavar="N", help="decoder layers (default: the real number)")
    parser.add_argument("--vision-layers", type=int, metavar="N", help="ViT layers (default: the real number)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    try:
        write_random_checkpoint(args.size, args.tokenizer_from, args.out, args.layers, args.vision_layers, args.seed)
    except GarError as error:
        print(f"random_checkpoint: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
