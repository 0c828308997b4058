# SPDX-License-Identifier: Apache-2.0
"""Special tokens and prompt format from a checkpoint's tokenizer and chat template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gar_export.config import CONFIG, GarConfig, read_json
from gar_export.tokens import OLDER_TEMPLATES, TEMPLATE, prompt_builder, read_prompts
from gar_ros.errors import ErrorCode, GarError


def test_tokens_and_format_of_a_released_checkpoint(checkpoint_1b: Path) -> None:
    tokens, prompt_format = read_prompts(checkpoint_1b, GarConfig.read(checkpoint_1b))
    assert (tokens.bos, tokens.image) == (128000, 128002)
    assert tokens.prompts == (128256, 128257, 128258, 128259, 128260)
    assert tokens.crops == (128004, 128005, 128008, 128010, 128011)
    assert prompt_format.before_image.startswith(
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nYou are"
    )
    assert prompt_format.before_image.endswith("<|start_header_id|>user<|end_header_id|>\n\n")
    assert prompt_format.after_image == ""
    assert prompt_format.after_text == "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"


def test_the_token_that_ends_a_turn_is_the_first_end_token(checkpoint_1b: Path) -> None:
    """config.json lists <|end_of_text|> (128001) first; the template ends turns with <|eot_id|> (128009)."""
    tokens, _ = read_prompts(checkpoint_1b, GarConfig.read(checkpoint_1b))
    assert tokens.eos == (128009, 128001)


def test_prompts_are_those_of_the_runtime(checkpoint_1b: Path) -> None:
    ids = prompt_builder(checkpoint_1b, GarConfig.read(checkpoint_1b)).prefix("question", 2, 1)
    assert ids[0] == 128000
    assert ids.count(128002) == 2 * 256
    assert ids[-256:] == [128004] * 256


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("<Prompt3>", "expected the special token <Prompt3>, it has none"),
        ("<|image|>", r"expected a special token with the id 128002 that config\.json names"),
        ("<|reserved_special_token_4|>", r"expected a special token with the id 128008 that config\.json names"),
        ("<|eot_id|>", r"expected a special token with the id 128009 that config\.json names"),
    ],
)
def test_a_tokenizer_without_a_special_token_is_refused(checkpoint: Path, token: str, message: str) -> None:
    path = checkpoint / "tokenizer.json"
    data = read_json(path)
    data["added_tokens"] = [added for added in data["added_tokens"] if added["content"] != token]
    path.write_text(json.dumps(data))
    _expect_refusal(checkpoint, message)


def test_a_damaged_tokenizer_is_named(checkpoint: Path) -> None:
    path = checkpoint / "tokenizer.json"
    path.write_text(path.read_text()[:1000])
    _expect_refusal(checkpoint, r"tokenizer\.json is damaged")
    path.unlink()
    _expect_refusal(checkpoint, r"expected a file tokenizer\.json in the checkpoint folder")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for %}", "can't be rendered"),
        ("{{ messages[0]['content'][1]['text'] }}<|eot_id|>", r"expected one <\|image\|> and then the user's text"),
        ("<|image|>{{ messages[0]['content'][1]['text'] }}", "expected a turn to end with one of config.json's end"),
        ("{{ 1 // 0 }}", "can't be rendered"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "can't be rendered"),  # the sandbox holds
    ],
)
def test_a_template_that_cannot_be_used_is_refused(checkpoint: Path, template: str, message: str) -> None:
    (checkpoint / TEMPLATE).write_text(template)
    _expect_refusal(checkpoint, message)


@pytest.mark.parametrize("name", OLDER_TEMPLATES)
def test_a_template_is_also_found_where_older_tools_put_it(checkpoint: Path, checkpoint_1b: Path, name: str) -> None:
    path = checkpoint / name
    data = read_json(path) if path.exists() else {}
    path.write_text(json.dumps({**data, "chat_template": (checkpoint / TEMPLATE).read_text()}))
    (checkpoint / TEMPLATE).unlink()
    config = GarConfig.read(checkpoint)
    assert read_prompts(checkpoint, config) == read_prompts(checkpoint_1b, config)
    path.write_text(json.dumps({**data, "chat_template": "{% for %}"}))
    _expect_refusal(checkpoint, f"{name} can't be rendered")


def test_a_template_in_another_encoding_is_named(checkpoint: Path) -> None:
    (checkpoint / TEMPLATE).write_bytes("<|image|>ä".encode("latin-1"))
    _expect_refusal(checkpoint, r"chat_template\.jinja can't be read as text")


def test_an_absent_template_is_named(checkpoint: Path) -> None:
    (checkpoint / TEMPLATE).unlink()
    _expect_refusal(checkpoint, r"expected a file chat_template\.jinja")


def test_token_ids_beyond_the_vocabulary_are_refused(checkpoint: Path) -> None:
    data = read_json(checkpoint / CONFIG)
    data["mllm_config"]["text_config"]["vocab_size"] = 128260
    (checkpoint / CONFIG).write_text(json.dumps(data))
    _expect_refusal(checkpoint, "expected token ids below vocab_size 128260, got 128260")


def _expect_refusal(checkpoint: Path, message: str) -> None:
    with pytest.raises(GarError, match=message) as refusal:
        read_prompts(checkpoint, GarConfig.read(checkpoint))
    assert refusal.value.code == ErrorCode.BAD_MODEL
