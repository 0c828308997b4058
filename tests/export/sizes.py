# SPDX-License-Identifier: Apache-2.0
"""GAR's config.json at the released sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gar_export.config import CONFIG, PREPROCESSOR, GarConfig, read_json

GAR_1B: dict[str, Any] = {
    "text_config": {
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "intermediate_size": 8192,
    },
    "model_args": {"embed_dim": 1024, "depth": 23},
}
GAR_8B: dict[str, Any] = {
    "text_config": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "intermediate_size": 14336,
    },
    "model_args": {"embed_dim": 1536, "depth": 47},
}


def resized(folder: Path, sizes: dict[str, Any]) -> GarConfig:
    """The config of a checkpoint folder with the sizes of another model."""
    config = read_json(folder / CONFIG)
    config["mllm_config"]["text_config"].update(sizes["text_config"])
    config["mllm_config"]["vision_config"]["model_args"].update(sizes["model_args"])
    return GarConfig.from_json(config, read_json(folder / PREPROCESSOR))
