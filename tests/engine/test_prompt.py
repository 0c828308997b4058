# SPDX-License-Identifier: Apache-2.0
"""Prompts, and user text that stays text. tests/engine/test_golden_prompt.py compares with the released code."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tokenizers import AddedToken, Tokenizer

from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import PromptFormat, Tokens
from gar_ros.engine.prompt import PromptBuilder
from gar_ros.errors import ErrorCode, GarError

MODEL = ModelDir.open(default_model_dir())
TOKENS, CHAT = MODEL.manifest.tokens, MODEL.manifest.prompt
TILE_TOKENS = MODEL.manifest.sizes.tile_tokens


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return MODEL.tokenizer()


@pytest.fixture(scope="module")
def builder(tokenizer: Tokenizer) -> PromptBuilder:
    return PromptBuilder(TOKENS, CHAT, TILE_TOKENS, tokenizer)


def test_one_bos_even_when_the_template_has_none(tokenizer: Tokenizer, builder: PromptBuilder) -> None:
    bare = PromptFormat(CHAT.before_image.removeprefix("<|begin_of_text|>"), CHAT.after_image, CHAT.after_text)
    assert PromptBuilder(TOKENS, bare, 1, tokenizer).prefix("question", 1, 1) == PromptBuilder(
        TOKENS, CHAT, 1, tokenizer
    ).prefix("question", 1, 1)
    assert builder.prefix("question", 2, 5).count(TOKENS.bos) == 1


def test_features_have_their_positions(builder: PromptBuilder) -> None:
    ids = builder.prefix("question", 3, 2)
    assert ids.count(TOKENS.image) == 3 * 64
    assert [ids.count(crop) for crop in TOKENS.crops] == [64, 64, 0, 0, 0]
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
    assert [id for id in ids if id in TOKENS.prompts] == [TOKENS.prompts[1], TOKENS.prompts[0]]
    assert builder.choice("<Prompt4>") == [TOKENS.prompts[4]]


@pytest.mark.parametrize(
    ("reference", "count"), [("<Prompt1>", 1), ("<Prompt5>", 5), ("<Prompt77>", 5), ("<Prompt12345678901>", 5)]
)
def test_a_reference_without_region_is_refused(builder: PromptBuilder, reference: str, count: int) -> None:
    for call in (lambda: builder.question(f"What is {reference}?", count), lambda: builder.choice(reference, count)):
        with pytest.raises(GarError, match=re.escape(reference)) as caught:
            call()
        assert caught.value.code == ErrorCode.PROMPT_WITHOUT_REGION


@pytest.mark.parametrize("text", ["<prompt0>", "<Prompt 0>", "<Prompt00>", "<Prompt-0>", "Is <Prompt0> <Prompt0"])
def test_what_only_looks_like_a_reference_is_refused(builder: PromptBuilder, text: str) -> None:
    """In questions, further turns and choices; test_prompt_spelling.py has the ways to misspell one."""
    asks = (
        lambda: builder.parse(text, (), 1),
        lambda: builder.parse_turn(text, (), 1),
        lambda: builder.parse("Which?", ("yes", text), 1),
        lambda: builder.parse_turn("Which?", ("yes", text), 1),
        lambda: builder.parse(text, (), 1, "video"),
    )
    for ask in asks:
        with pytest.raises(GarError, match="expected <Prompt0>, got ") as caught:
            ask()
        assert caught.value.code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("text", ["", "  \n ", "\udcff"])
def test_a_text_that_cannot_be_asked_is_refused(builder: PromptBuilder, text: str) -> None:
    with pytest.raises(GarError) as caught:
        builder.question(text, 1)
    assert caught.value.code == ErrorCode.INVALID_REQUEST


def test_decoding_keeps_prompts_and_drops_control_tokens(builder: PromptBuilder) -> None:
    ids = [TOKENS.prompts[0], *builder.choice(" is red"), TOKENS.crops[2], TOKENS.image, TOKENS.eos[0]]
    assert builder.decode(ids) == "<Prompt0> is red"


def test_a_tokenizer_without_the_special_tokens_is_refused(tokenizer: Tokenizer) -> None:
    wrong = Tokens(TOKENS.bos, TOKENS.eos, TOKENS.image, TOKENS.crops, TOKENS.crops)
    with pytest.raises(GarError, match="<Prompt0> with id 690") as caught:
        PromptBuilder(wrong, CHAT, 1, tokenizer)
    assert caught.value.code == ErrorCode.BAD_MODEL


def test_a_control_token_that_text_could_become_is_refused() -> None:
    open_to_text = MODEL.tokenizer()
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
