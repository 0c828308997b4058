# SPDX-License-Identifier: Apache-2.0
"""Text decoded a token at a time is the text decoded at once."""

from __future__ import annotations

import numpy as np
import pytest

from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.prompt import PromptBuilder
from gar_ros.engine.text_stream import TextStream


@pytest.fixture(scope="module")
def prompts() -> PromptBuilder:
    model = ModelDir.open(default_model_dir())
    return PromptBuilder(model.manifest.tokens, model.manifest.prompt, 1, model.tokenizer())


def pieces(stream: TextStream, ids: list[int]) -> list[str]:
    return [*(stream.add(token) for token in ids), stream.end()]


@pytest.mark.parametrize("seed", range(200))
def test_the_pieces_joined_are_the_text_of_any_tokens(prompts: PromptBuilder, seed: int) -> None:
    rng = np.random.default_rng(seed)  # bytes that are no character among them
    ids = rng.integers(0, 701, rng.integers(0, 40)).tolist()
    assert "".join(pieces(prompts.text_stream(), ids)) == prompts.decode(ids)


@pytest.mark.parametrize("text", ["  a red mug \n", "é€🙂 ok", "   ", "", "<Prompt0> is on <Prompt1>", "a  b   "])
def test_a_text_comes_back_without_surrounding_space(prompts: PromptBuilder, text: str) -> None:
    assert "".join(pieces(prompts.text_stream(), prompts.choice(text))) == text.strip()


def test_a_character_of_several_tokens_comes_with_its_last(prompts: PromptBuilder) -> None:
    ids = prompts.choice("🙂")
    assert len(ids) > 1
    assert pieces(prompts.text_stream(), ids) == ["", *[""] * (len(ids) - 2), "🙂", ""]


def test_space_waits_for_what_follows_it(prompts: PromptBuilder) -> None:
    stream = prompts.text_stream()
    (space,) = prompts.choice(" ")
    (letter,) = prompts.choice("a")
    assert [stream.add(token) for token in (space, letter, space, space, letter, space)] == ["", "a", "", "", "  a", ""]
    assert stream.end() == ""


def test_an_incomplete_character_ends_as_its_replacement(prompts: PromptBuilder) -> None:
    ids = prompts.choice("a🙂")[:-1]
    assert "".join(pieces(prompts.text_stream(), ids)) == prompts.decode(ids) == "a\N{REPLACEMENT CHARACTER}"
