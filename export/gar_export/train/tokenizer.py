# SPDX-License-Identifier: Apache-2.0
"""gar-tiny's tokenizer: byte-level BPE in which every word of the questions is one token."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

PROMPT_TOKENS = tuple(f"<Prompt{number}>" for number in range(5))
CROP_TOKENS = tuple(f"<|reserved_special_token_{number}|>" for number in range(2, 7))
SPECIAL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|image|>",
    "<|video|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
    *CROP_TOKENS,
    *PROMPT_TOKENS,
    "<NO_Prompt>",
)
"""Strings as in the released tokenizer; their ids follow the ordinary tokens here."""

MAX_TOKENS = 1100  # ordinary ones; reached only by a corpus with more words than the tabletop's questions


def words_of(texts: Iterable[str]) -> list[str]:
    """The distinct pre-tokens of `texts`, sorted: words with the space before them, punctuation, line ends."""
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return sorted({piece for text in texts for piece, _ in splitter.pre_tokenize_str(text)})


def train_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer whose merges join every word of `texts` into one token. The same texts give the same tokenizer."""
    pieces = words_of(texts)
    model = models.BPE()
    tokenizer = Tokenizer(model)
    to_text = decoders.ByteLevel()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MAX_TOKENS,
        min_frequency=1,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([to_text.decode([piece]) for piece in pieces], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS])
    bos = SPECIAL_TOKENS[0]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    return tokenizer
