# SPDX-License-Identifier: Apache-2.0
"""gar-tiny's configuration, in the files and keys of a released checkpoint (`config.json` and its companions)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from gar_export.config import NOTICE_FILE
from gar_export.train.tokenizer import CROP_TOKENS, PROMPT_TOKENS
from gar_ros.engine.replay import RoiConvention

TILE = 288  # pixels
PATCH = 18  # pixels
POOLING = 2
MAX_TILES = 1
PIXEL_MEAN = PIXEL_STD = 0.5

VISION = {"embed_dim": 192, "depth": 4, "num_heads": 4, "mlp_ratio": 8 / 3}
DECODER = {
    "hidden_size": 192,
    "intermediate_size": 288,  # what keeps export and checkpoint together under 20 MB
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 32,
    "max_position_embeddings": 2048,
}
NOTICE = (
    "gar-tiny knows the simulated tabletop only (mugs, bowls, boxes, balls, cylinders and capsules in eight colours), "
    "and it is just as sure of its answers about anything else. For other pictures export GAR-1B or GAR-8B with "
    "`gar export` and load that folder: parameter `model` of the node, option --model of `gar`."
)
SYSTEM_TEXT = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
CHAT_TEMPLATE = (
    "{{ bos_token }}<|start_header_id|>system<|end_header_id|>\n\n"
    + SYSTEM_TEXT
    + "<|eot_id|>"
    + "{% for message in messages %}<|start_header_id|>{{ message.role }}<|end_header_id|>{{ '\\n\\n' }}"
    + "{% for part in message.content %}{% if part.type == 'image' %}<|image|>"
    + "{% elif part.type == 'text' %}{{ part.text | trim }}{% endif %}{% endfor %}<|eot_id|>{% endfor %}"
    + "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>{{ '\\n\\n' }}{% endif %}"
)


def gar_config(tokenizer: Tokenizer, roi_convention: RoiConvention) -> dict[str, Any]:
    """The content of config.json. The vocabulary's size and the special tokens' ids come from `tokenizer`."""
    ids = {token: tokenizer.token_to_id(token) for token in tokenizer.get_vocab()}
    grid = TILE // PATCH
    vision = {
        "model_type": "timm_wrapper",
        "architecture": "vit_pe_core_large_patch14_336",
        "do_pooling": True,
        "global_pool": "map",
        "initializer_range": 0.02,
        "num_classes": 2,
        "num_features": VISION["embed_dim"],
        "model_args": {
            **VISION,
            "patch_size": PATCH,
            "img_size": [TILE, TILE],
            "ref_feat_shape": [grid, grid],
            "init_values": 1.0,  # LayerScale starts open: five layers trained from scratch need no damping
            "global_pool": "",
            "use_post_transformer_norm": False,
        },
    }
    text = {
        "model_type": "llama",
        **DECODER,
        "vocab_size": tokenizer.get_vocab_size(),
        "bos_token_id": ids["<|begin_of_text|>"],
        "eos_token_id": [ids["<|end_of_text|>"], ids["<|eot_id|>"]],
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "initializer_range": 0.02,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 2.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 1024,
        },
        "tie_word_embeddings": True,
        "use_cache": True,
    }
    return {
        "architectures": ["GARModel"],
        "model_type": "GAR",
        "dtype": "bfloat16",
        "crop_tokens_ids": [ids[token] for token in CROP_TOKENS],
        "kernel_size": [PATCH, PATCH],
        "mask_path_embedding_out_channels": VISION["embed_dim"],
        "patch_size_h": PATCH,
        "patch_size_w": PATCH,
        "prompt_numbers": len(PROMPT_TOKENS),
        "roi_convention": roi_convention,
        "mllm_config": {
            "model_type": "perception_lm",
            "image_token_id": ids["<|image|>"],
            "video_token_id": ids["<|video|>"],
            "projector_pooling_ratio": POOLING,
            "vision_use_cls_token": True,
            "vision_config": vision,
            "text_config": text,
        },
    }


def preprocessor_config() -> dict[str, Any]:
    """The content of preprocessor_config.json: the tile rule and the normalisation."""
    return {
        "image_processor_type": "PerceptionLMImageProcessorFast",
        "processor_class": "GARPerceptionLMProcessor",
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [PIXEL_MEAN] * 3,
        "image_std": [PIXEL_STD] * 3,
        "max_frame_tiles": 1,
        "max_num_tiles": MAX_TILES,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": TILE, "width": TILE},
        "tile_size": TILE,
        "vision_input_type": "tile",
    }


def write_companions(folder: Path, tokenizer: Tokenizer, roi_convention: RoiConvention = "correct") -> None:
    """Writes everything of a checkpoint folder but the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    special = {
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "pad_token": "<|end_of_text|>",
        "image_token": "<|image|>",
        "video_token": "<|video|>",
    }
    files: dict[str, Any] = {
        "config.json": gar_config(tokenizer, roi_convention),
        "preprocessor_config.json": preprocessor_config(),
        "processor_config.json": {
            "processor_class": "GARPerceptionLMProcessor",
            "patch_size": PATCH,
            "pooling_ratio": POOLING,
        },
        "special_tokens_map.json": special,
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": DECODER["max_position_embeddings"],
            "clean_up_tokenization_spaces": False,
            **special,
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    (folder / NOTICE_FILE).write_text(f"{NOTICE}\n", encoding="utf-8")
    tokenizer.save(str(folder / "tokenizer.json"))
