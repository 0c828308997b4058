# SPDX-License-Identifier: Apache-2.0
"""gar-tiny's tokenizer."""

from __future__ import annotations

from gar_export.train.questions import SPARE_TEXTS, TEMPLATE_TEXTS
from gar_export.train.tokenizer import CROP_TOKENS, PROMPT_TOKENS, train_tokenizer

TEXTS = (*TEMPLATE_TEXTS, *SPARE_TEXTS, "Which is further left, <Prompt0> or <Prompt1>?", "yes")


def test_every_word_is_one_token() -> None:
    tokenizer = train_tokenizer(TEXTS)
    tokens = tokenizer.encode("Which is further left, <Prompt0> or <Prompt1>?", add_special_tokens=False).tokens
    assert tokens == ["Which", "Ġis", "Ġfurther", "Ġleft", ",", "Ġ", "<Prompt0>", "Ġor", "Ġ", "<Prompt1>", "?"]


def test_unknown_words_survive_as_bytes() -> None:
    tokenizer = train_tokenizer(TEXTS)
    text = "schräg über dem Tisch"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_special_tokens_follow_the_ordinary_ones_and_are_single() -> None:
    tokenizer = train_tokenizer(TEXTS)
    ordinary = tokenizer.get_vocab_size(with_added_tokens=False)
    for token in (*CROP_TOKENS, *PROMPT_TOKENS):
        assert tokenizer.encode(token, add_special_tokens=False).ids == [tokenizer.token_to_id(token)]
        assert tokenizer.token_to_id(token) >= ordinary


def test_the_same_texts_give_the_same_tokenizer() -> None:
    assert train_tokenizer(TEXTS).to_str() == train_tokenizer(reversed(TEXTS)).to_str()
