# SPDX-License-Identifier: Apache-2.0
"""Prompt ids against the released code's, and user text that stays text."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizers import AddedToken, Tokenizer

from gar_ros.engine.model_dir.manifest import PromptFormat, Tokens
from gar_ros.engine.prompt import Form, PromptBuilder
from gar_ros.errors import ErrorCode, GarError
from tests.engine.golden import CASES, GRID, IMAGE_CASES, GoldenCase, golden_case, golden_path, one_image_token

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
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(golden_path("tiny_gar_1b/tokenizer.json")))


@pytest.fixture(scope="module")
def builder(tokenizer: Tokenizer) -> PromptBuilder:
    return PromptBuilder(TOKENS, CHAT, GRID * GRID, tokenizer)


@pytest.mark.parametrize("name", CASES)
def test_ids_equal_the_released_ones_with_one_bos(builder: PromptBuilder, name: str) -> None:
    case = golden_case(name)
    assert prompt_ids(builder, case, case.tiles) == case.arrays["input_ids"].tolist()[1:]


@pytest.mark.parametrize("name", CASES)
def test_text_equals_the_released_one(tokenizer: Tokenizer, builder: PromptBuilder, name: str) -> None:
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


def test_one_bos_even_when_the_template_has_none(tokenizer: Tokenizer, builder: PromptBuilder) -> None:
    bare = PromptFormat(CHAT.before_image.removeprefix("<|begin_of_text|>"), CHAT.after_image, CHAT.after_text)
    assert PromptBuilder(TOKENS, bare, 1, tokenizer).prefix("question", 1, 1) == PromptBuilder(
        TOKENS, CHAT, 1, tokenizer
    ).prefix("question", 1, 1)
    assert builder.prefix("question", 2, 5).count(TOKENS.bos) == 1


def test_features_have_their_positions(builder: PromptBuilder) -> None:
    ids = builder.prefix("question", 3, 2)
    assert ids.count(TOKENS.image) == 3 * 256
    assert [ids.count(crop) for crop in TOKENS.crops] == [256, 256, 0, 0, 0]
    assert ids[-1] == TOKENS.crops[1]


CONTROL = ["<|eot_id|>", "<|reserved_special_token_2|>", "<|image|>", "<|begin_of_text|>", "<NO_Prompt>"]


@pytest.mark.parametrize("control", CONTROL)
def test_control_tokens_in_user_text_stay_text(tokenizer: Tokenizer, builder: PromptBuilder, control: str) -> None:
    ids = builder.question(f"What is {control} here?", 1)
    asked = ids[: ids.index(TOKENS.eos[0])]
    assert tokenizer.decode(asked, skip_special_tokens=False) == f"\n\nWhat is {control} here?"
    assert tokenizer.token_to_id(control) not in ids[: len(asked)]
    assert tokenizer.token_to_id(control) not in builder.choice(control)
    assert builder.decode(builder.choice(control)) == control


def test_prompt_references_become_prompt_tokens(builder: PromptBuilder) -> None:
    ids = builder.question("Is <Prompt1> left of <Prompt0>?", 2)
    assert [id for id in ids if id in TOKENS.prompts] == [128257, 128256]
    assert builder.choice("<Prompt4>") == [128260]


@pytest.mark.parametrize(("reference", "count"), [("<Prompt1>", 1), ("<Prompt5>", 5), ("<Prompt77>", 5)])
def test_a_reference_without_region_is_refused(builder: PromptBuilder, reference: str, count: int) -> None:
    for call in (lambda: builder.question(f"What is {reference}?", count), lambda: builder.choice(reference, count)):
        with pytest.raises(GarError, match=re.escape(reference)) as caught:
            call()
        assert caught.value.code == ErrorCode.PROMPT_WITHOUT_REGION


@pytest.mark.parametrize("text", ["<prompt0>", "<Prompt 0>", "<Prompt00>", "<Prompt-1>", "<Prompt>"])
def test_what_only_looks_like_a_reference_is_text(builder: PromptBuilder, text: str) -> None:
    assert not set(builder.question(text, 1)) & set(TOKENS.prompts)


@pytest.mark.parametrize("text", ["", "  \n ", "\udcff"])
def test_a_text_that_cannot_be_asked_is_refused(builder: PromptBuilder, text: str) -> None:
    with pytest.raises(GarError) as caught:
        builder.question(text, 1)
    assert caught.value.code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("name", IMAGE_CASES)
def test_decoding_keeps_prompts_and_drops_control_tokens(builder: PromptBuilder, name: str) -> None:
    variant = golden_case(name).info["variants"]["official"]
    kept = re.sub(r"<\|[^|]*\|>|<NO_Prompt>", "", variant["generated_text_raw"])
    assert builder.decode(variant["generated_ids"]) == kept.strip()


def test_a_tokenizer_without_the_special_tokens_is_refused(tokenizer: Tokenizer) -> None:
    wrong = Tokens(TOKENS.bos, TOKENS.eos, TOKENS.image, TOKENS.crops, TOKENS.crops)
    with pytest.raises(GarError, match="<Prompt0> with id 128004") as caught:
        PromptBuilder(wrong, CHAT, 1, tokenizer)
    assert caught.value.code == ErrorCode.BAD_MODEL


def test_a_control_token_that_text_could_become_is_refused() -> None:
    open_to_text = Tokenizer.from_file(str(golden_path("tiny_gar_1b/tokenizer.json")))
    open_to_text.add_tokens([AddedToken("<open>", special=False)])
    tokens = Tokens(open_to_text.token_to_id("<open>"), TOKENS.eos, TOKENS.image, TOKENS.prompts, TOKENS.crops)
    with pytest.raises(GarError, match="special: False"):
        PromptBuilder(tokens, CHAT, 1, open_to_text)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_threads")
def test_threads_do_not_disturb_each_other(builder: PromptBuilder) -> None:
    """The node checks questions in its callbacks while the worker builds prefixes."""
    calls = [lambda: builder.prefix("question", 1, 2), lambda: builder.question("<|image|> <Prompt0>", 1)]
    alone = [call() for call in calls]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda number: calls[number % 2](), range(400)))
    assert results == alone * 200
