"""Configs of released checkpoints, and what is wrong with those that can't be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gar_export.config import CONFIG, PREPROCESSOR, GarConfig, read_json
from gar_ros.errors import ErrorCode, GarError


def test_sizes_of_the_golden_checkpoint(checkpoint_1b: Path) -> None:
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


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["model_type"], "llava", r"config\.json: expected 'model_type' to be \"GAR\", got 'llava'"),
        (["mllm_config", "model_type"], "qwen2_vl", "mllm_config: expected 'model_type' to be \"perception_lm\""),
        (["mllm_config", "text_config", "model_type"], "gemma", "text_config: expected 'model_type' to be \"llama\""),
        (["mllm_config", "text_config", "attention_bias"], True, "expected 'attention_bias' to be false, got True"),
        (["mllm_config", "text_config", "rope_scaling", "rope_type"], "yarn", "expected 'rope_scaling' to be null or"),
        (["mllm_config", "text_config", "rope_parameters"], {}, "expected 'rope_parameters' to be absent"),
        (["mllm_config", "text_config", "hidden_size"], "32", "expected 'hidden_size' to be of type int, got '32'"),
        (["mllm_config", "text_config", "num_hidden_layers"], 0, "'num_hidden_layers' to be a positive number, got 0"),
        (["mllm_config", "vision_config", "architecture"], "resnet50", "expected 'architecture' to be a Perception"),
        (["mllm_config", "vision_config", "model_args", "img_size"], [336, 336], "to be the tile size 448"),
        (["kernel_size"], [14, 7], "expected 'kernel_size' to be a square size"),
        (["crop_tokens_ids"], [128004], "one token for each of the 5 prompts"),
        (["roi_convention"], "other", "expected 'roi_convention' to be \"released\" or \"correct\", got 'other'"),
    ],
)
def test_a_config_of_another_model_is_refused(checkpoint: Path, keys: list[str], value: Any, message: str) -> None:
    _change(checkpoint / CONFIG, keys, value)
    _expect_refusal(checkpoint, message)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tile_size", 450, "expected 'tile_size' to be a multiple of 28"),
        ("image_mean", [0.5], "expected 'image_mean' to be three numbers"),
        ("vision_input_type", "video", "expected 'vision_input_type' to be"),
        ("max_num_tiles", True, "expected 'max_num_tiles' to be of type int, got True"),
    ],
)
def test_a_foreign_preprocessor_is_refused(checkpoint: Path, key: str, value: Any, message: str) -> None:
    _change(checkpoint / PREPROCESSOR, [key], value)
    _expect_refusal(checkpoint, message)


def test_an_absent_or_damaged_file_is_named(checkpoint: Path) -> None:
    (checkpoint / CONFIG).write_text('{"model_type": "GAR"')
    _expect_refusal(checkpoint, r"config\.json can't be read as JSON")
    (checkpoint / CONFIG).write_text("[]")
    _expect_refusal(checkpoint, r"config\.json: expected a JSON object, got list")
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
