# SPDX-License-Identifier: Apache-2.0
"""Configs of released checkpoints, and what is wrong with those that can't be used."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from transformers import LlamaConfig

from gar_export.config import CONFIG, PREPROCESSOR, GarConfig, TextConfig, read_json
from gar_ros.errors import ErrorCode, GarError

TEXT, VISION = ["mllm_config", "text_config"], ["mllm_config", "vision_config"]


def test_sizes_of_a_checkpoint_in_the_released_format(checkpoint_1b: Path) -> None:
    config = GarConfig.read(checkpoint_1b)
    sizes, rule = config.sizes(), config.tile_rule()
    assert (sizes.tile, sizes.patch, sizes.grid, sizes.tile_tokens) == (448, 14, 16, 256)
    assert (sizes.hidden, sizes.layers, sizes.heads, sizes.kv_heads, sizes.head_dim) == (32, 2, 4, 2, 8)
    assert (sizes.vocab, sizes.max_positions) == (128262, 11520)
    assert (rule.max_tiles, rule.thumbnail, rule.mean, rule.std) == (16, True, (0.5,) * 3, (0.5,) * 3)
    assert config.eos == (128001, 128009)
    assert config.decoder.tied_head
    assert config.class_token


def test_the_8b_shape_has_no_class_token_and_an_untied_head(checkpoint_8b: Path) -> None:
    config = GarConfig.read(checkpoint_8b)
    assert (config.class_token, config.decoder.tied_head, config.max_tiles) == (False, False, 8)


def test_released_checkpoints_have_the_released_roi_convention(checkpoint: Path) -> None:
    assert GarConfig.read(checkpoint).roi_convention == "released"
    _change(checkpoint / CONFIG, ["roi_convention"], "correct")
    assert GarConfig.read(checkpoint).roi_convention == "correct"


def test_keys_left_out_of_the_text_config_have_transformers_defaults(checkpoint: Path) -> None:
    data = read_json(checkpoint / CONFIG)
    for key in ("head_dim", "hidden_act", "attention_bias", "mlp_bias", "tie_word_embeddings"):
        del data["mllm_config"]["text_config"][key]
    (checkpoint / CONFIG).write_text(json.dumps(data))
    decoder = GarConfig.read(checkpoint).decoder
    assert (decoder.head_dim, decoder.tied_head) == (32 // 4, False)


def test_the_defaults_are_those_of_the_installed_transformers() -> None:
    transformers = LlamaConfig().to_dict()
    declared = {field.name: field.default for field in msgspec.structs.fields(TextConfig) if not field.required}
    # Of these two the same number comes from others, and 5 writes RoPE's in another form.
    assert (transformers["num_key_value_heads"], transformers["head_dim"]) == (32, 4096 // 32)
    rope = transformers.get("rope_parameters") or transformers
    assert (declared.pop("rope_theta"), declared.pop("rope_scaling")) == (rope["rope_theta"], None)
    for name in ("num_key_value_heads", "head_dim", "rope_parameters"):
        assert declared.pop(name) is None
    assert declared == {name: transformers[name] for name in declared}


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["model_type"], "llava", '\'model_type\': expected "GAR", got "llava"'),
        (["mllm_config", "model_type"], "qwen2_vl", "'mllm_config.model_type': expected \"perception_lm\", got"),
        ([*TEXT, "model_type"], "gemma", '\'mllm_config.text_config.model_type\': expected "llama", got "gemma"'),
        ([*TEXT, "attention_bias"], True, "'mllm_config.text_config.attention_bias': expected false, got true"),
        ([*TEXT, "mlp_bias"], True, "'mllm_config.text_config.mlp_bias': expected false, got true"),
        ([*TEXT, "hidden_act"], "gelu", '\'mllm_config.text_config.hidden_act\': expected "silu", got "gelu"'),
        ([*TEXT, "rope_scaling", "rope_type"], "yarn", 'rope_scaling.rope_type\': expected "llama3", got "yarn"'),
        ([*TEXT, "rope_parameters"], {}, "text_config.rope_parameters': expected absent: rope_theta and rope_scaling"),
        ([*TEXT, "hidden_size"], "32", 'text_config.hidden_size\': expected a whole number above 0, got "32"'),
        ([*TEXT, "num_hidden_layers"], 0, "text_config.num_hidden_layers': expected a whole number above 0, got 0"),
        ([*TEXT, "eos_token_id"], [1, "2"], 'text_config.eos_token_id[1]\': expected a whole number, got "2"'),
        ([*VISION, "architecture"], "resnet50", "architecture': expected a Perception Encoder of timm"),
        ([*VISION, "model_args", "img_size"], [336, 336], "model_args.img_size': expected the tile size 448"),
        (["kernel_size"], [14, 7], "'kernel_size': expected a square size, got [14, 7]"),
        (["crop_tokens_ids"], [128004], "'crop_tokens_ids': expected one token for each of the 5 prompts, got 1"),
        (["roi_convention"], "other", '\'roi_convention\': expected "correct" or "released", got "other"'),
    ],
)
def test_a_config_of_another_model_is_refused(checkpoint: Path, keys: list[str], value: Any, message: str) -> None:
    _change(checkpoint / CONFIG, keys, value)
    _expect_refusal(checkpoint, f"{CONFIG}: .*{re.escape(message)}")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tile_size", 450, "'tile_size': expected a multiple of 28"),
        ("image_mean", [0.5], "'image_mean': expected a list of length 3, got [0.5]"),
        ("vision_input_type", "video", '\'vision_input_type\': expected "thumb+tile" or "tile", got "video"'),
        ("max_num_tiles", True, "'max_num_tiles': expected a whole number above 0, got true"),
    ],
)
def test_a_foreign_preprocessor_is_refused(checkpoint: Path, key: str, value: Any, message: str) -> None:
    _change(checkpoint / PREPROCESSOR, [key], value)
    _expect_refusal(checkpoint, f"{PREPROCESSOR}: {re.escape(message)}")


def test_an_absent_or_damaged_file_is_named(checkpoint: Path) -> None:
    (checkpoint / CONFIG).write_text('{"model_type": "GAR"')
    _expect_refusal(checkpoint, r"config\.json: is not JSON: ")
    (checkpoint / CONFIG).write_text("[]")
    _expect_refusal(checkpoint, r"config\.json: expected an object, got \[\]")
    (checkpoint / CONFIG).unlink()
    _expect_refusal(checkpoint, r"expected a file config\.json in the checkpoint folder")


def _change(path: Path, keys: list[str], value: Any) -> None:
    data = part = read_json(path)
    for key in keys[:-1]:
        part = part[key]
    part[keys[-1]] = value
    path.write_text(json.dumps(data))


def _expect_refusal(checkpoint: Path, message: str) -> None:
    with pytest.raises(GarError, match=message) as refusal:
        GarConfig.read(checkpoint)
    assert refusal.value.code == ErrorCode.BAD_MODEL
