# SPDX-License-Identifier: Apache-2.0
"""Prompts against the released code's, with the tokenizer and the token ids of the released models."""

from __future__ import annotations

import re

import pytest
from tokenizers import Tokenizer

from gar_ros.engine.model_dir.manifest import PromptFormat, Tokens
from gar_ros.engine.prompt import Form, PromptBuilder
from tests.engine.golden import CASES, GRID, IMAGE_CASES, GoldenCase, one_image_token
from tests.fixtures_golden import FindCase, FindGolden

TOKENS = Tokens(
    bos=128000,
    eos=(128009,),
    image=128002,
    prompts=(128256, 128257, 128258, 128259, 128260),
    crops=(128004, 128005, 128008, 128010, 128011),
)
CHAT = PromptFormat(
    before_image="<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n",
    after_image="",
    after_text="<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
)


@pytest.fixture(scope="module")
def tokenizer(golden_path: FindGolden) -> Tokenizer:
    return Tokenizer.from_file(str(golden_path("tiny_gar_1b/tokenizer.json")))


@pytest.fixture(scope="module")
def builder(tokenizer: Tokenizer) -> PromptBuilder:
    return PromptBuilder(TOKENS, CHAT, GRID * GRID, tokenizer)


@pytest.mark.parametrize("name", CASES)
def test_ids_equal_the_released_ones_with_one_bos(builder: PromptBuilder, golden_case: FindCase, name: str) -> None:
    case = golden_case(name)
    assert prompt_ids(builder, case, case.tiles) == case.arrays["input_ids"].tolist()[1:]


@pytest.mark.parametrize("name", CASES)
def test_text_equals_the_released_one(
    tokenizer: Tokenizer, builder: PromptBuilder, golden_case: FindCase, name: str
) -> None:
    case = golden_case(name)
    text = tokenizer.decode(prompt_ids(builder, case, tiles=1), skip_special_tokens=False)
    assert one_image_token(text) == case.prompt_text


def prompt_ids(builder: PromptBuilder, case: GoldenCase, tiles: int) -> list[int]:
    """The whole prompt of a case as the engine asks it."""
    if case.caption:
        assert case.question == "Describe this masked region in detail."
        return builder.prefix("caption", tiles, 1) + builder.caption_request()
    form: Form = "video" if case.video else "question"
    regions = 1 if case.video else len(case.masks)
    return builder.prefix(form, tiles, len(case.masks)) + builder.question(case.question, regions, form)


@pytest.mark.parametrize("name", IMAGE_CASES)
def test_decoding_keeps_prompts_and_drops_control_tokens(
    builder: PromptBuilder, golden_case: FindCase, name: str
) -> None:
    variant = golden_case(name).info["variants"]["official"]
    kept = re.sub(r"<\|[^|]*\|>|<NO_Prompt>", "", variant["generated_text_raw"])
    assert builder.decode(variant["generated_ids"]) == kept.strip()
