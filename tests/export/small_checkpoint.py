# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the released format that are small and random: the released token ids, tiles and names of tensors."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

from gar_export.checkpoint import write_shards
from gar_export.config import CONFIG, PREPROCESSOR, GarConfig, read_json
from gar_export.random_checkpoint import random_weight, sized, weight_shapes
from gar_ros.engine.model_dir.manifest import TOKENIZER

GAR_TINY = Path(__file__).resolve().parents[2] / "models/gar-tiny/checkpoint"
"""Gives tokenizer and chat template."""

RELEASED_IDS = {
    "<|begin_of_text|>": 128000,
    "<|end_of_text|>": 128001,
    "<|image|>": 128002,
    "<|video|>": 128003,
    "<|reserved_special_token_2|>": 128004,
    "<|reserved_special_token_3|>": 128005,
    "<|start_header_id|>": 128006,
    "<|end_header_id|>": 128007,
    "<|reserved_special_token_4|>": 128008,
    "<|eot_id|>": 128009,
    "<|reserved_special_token_5|>": 128010,
    "<|reserved_special_token_6|>": 128011,
    **{f"<Prompt{number}>": 128256 + number for number in range(5)},
    "<NO_Prompt>": 128261,
}

SHAPES: dict[str, dict[str, Any]] = {
    "small_1b": {
        "architecture": "vit_pe_core_large_patch14_336",
        "class_token": True,
        "max_tiles": 16,
        "rope_factor": 32.0,
        "tied_head": True,
    },
    "small_8b": {
        "architecture": "vit_pe_core_gigantic_patch14_448",
        "class_token": False,
        "max_tiles": 8,
        "rope_factor": 8.0,
        "tied_head": False,
    },
}
"""What tells GAR-1B and GAR-8B apart, but for their sizes."""

_TILE = 448


def write_small_checkpoint(name: str, folder: Path) -> None:
    """Writes the new folder: two layers of each kind, 128 wide in the vision tower and 32 in the decoder.

    name: a key of SHAPES.
    """
    _write(folder, *small_config(SHAPES[name]))
    (folder / TOKENIZER).write_text(json.dumps(released_tokenizer(), ensure_ascii=False))


def write_wide_checkpoint(size: str, folder: Path, layers: int = 2) -> None:
    """Writes the new folder: a released model's widths, tiles and positions, with few layers and gar-tiny's vocabulary.

    size: "1b" or "8b". layers: of the vision tower and of the decoder.
    """
    config, preprocessor = read_json(GAR_TINY / CONFIG), read_json(GAR_TINY / PREPROCESSOR)
    released, released_preprocessor = small_config(SHAPES[f"small_{size}"])
    for name in ("kernel_size", "patch_size_h", "patch_size_w"):
        config[name] = released[name]
    mllm, of_released = config["mllm_config"], released["mllm_config"]
    mllm["vision_config"]["model_args"] = of_released["vision_config"]["model_args"]
    for name in ("max_position_embeddings", "rope_scaling", "rope_theta"):
        mllm["text_config"][name] = of_released["text_config"][name]
    for name in ("size", "tile_size", "vision_input_type"):
        preprocessor[name] = released_preprocessor[name]
    _write(folder, *sized(size, config, preprocessor, layers, layers))


def _write(folder: Path, config: dict[str, Any], preprocessor: dict[str, Any]) -> None:
    """The folder with gar-tiny's tokenizer and random weights."""
    shutil.copytree(GAR_TINY, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
    (folder / PREPROCESSOR).write_text(json.dumps(preprocessor, indent=1) + "\n")
    gar_config = GarConfig.from_json(config, preprocessor)
    shapes = weight_shapes(gar_config)
    sizes = {name: 2 * math.prod(shape) for name, shape in shapes.items()}  # bfloat16
    layers = gar_config.decoder.layers
    write_shards(sizes, lambda name: random_weight(name, shapes[name], layers, seed=0), folder, sum(sizes.values()))


def small_config(shape: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """config.json and preprocessor_config.json of a value of SHAPES."""
    vision = {
        "model_type": "timm_wrapper",
        "architecture": shape["architecture"],
        "num_features": 128,
        "model_args": {
            "depth": 2,
            "embed_dim": 128,
            "global_pool": "",
            "img_size": [_TILE, _TILE],
            "init_values": 0.1,
            "ref_feat_shape": [32, 32],
            "use_post_transformer_norm": False,
        },
    }
    text = {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "vocab_size": 128262,
        "max_position_embeddings": 11520,
        "bos_token_id": 128000,
        "eos_token_id": [128001, 128009],
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": shape["rope_factor"],
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
        "tie_word_embeddings": shape["tied_head"],
    }
    config = {
        "architectures": ["GARModel"],
        "model_type": "GAR",
        "crop_tokens_ids": [RELEASED_IDS[f"<|reserved_special_token_{number}|>"] for number in range(2, 7)],
        "kernel_size": [14, 14],
        "patch_size_h": 14,
        "patch_size_w": 14,
        "mask_path_embedding_out_channels": 128,
        "prompt_numbers": 5,
        "mllm_config": {
            "model_type": "perception_lm",
            "image_token_id": RELEASED_IDS["<|image|>"],
            "video_token_id": RELEASED_IDS["<|video|>"],
            "projector_pooling_ratio": 2,
            "vision_use_cls_token": shape["class_token"],
            "vision_config": vision,
            "text_config": text,
        },
    }
    preprocessor = read_json(GAR_TINY / PREPROCESSOR) | {
        "max_num_tiles": shape["max_tiles"],
        "size": {"height": _TILE, "width": _TILE},
        "tile_size": _TILE,
        "vision_input_type": "thumb+tile",
    }
    return config, preprocessor


def released_tokenizer() -> dict[str, Any]:
    """gar-tiny's tokenizer.json with the released ids of the special tokens."""
    tokenizer = read_json(GAR_TINY / TOKENIZER)
    for token in tokenizer["added_tokens"]:
        token["id"] = RELEASED_IDS[token["content"]]
    tokenizer["model"]["vocab"] |= RELEASED_IDS
    for token in tokenizer["post_processor"]["special_tokens"].values():
        token["ids"] = [RELEASED_IDS[token["id"]]]
    return dict(tokenizer)
