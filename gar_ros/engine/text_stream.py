# SPDX-License-Identifier: Apache-2.0
"""Incremental decoding of text: each token costs the same, however long the text is by then."""

from __future__ import annotations

from collections.abc import Collection

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class TextStream:
    """Decodes tokens one after another. Its pieces joined are the text of all tokens without surrounding space."""

    def __init__(self, tokenizer: Tokenizer, silent: Collection[int]) -> None:
        """silent: ids of the control tokens that are left out of the text."""
        self._tokenizer, self._silent = tokenizer, silent
        self._decoder = DecodeStream(skip_special_tokens=False)
        self._undecoded: list[int] = []  # tokens of a character that isn't complete
        self._space = ""  # trailing space, held back because it is dropped at the end of a text
        self._begun = False

    def add(self, token: int) -> str:
        """The text that a token adds; empty while a character is incomplete."""
        if token in self._silent:
            return ""
        self._undecoded.append(token)
        piece = self._decoder.step(self._tokenizer, token)
        if piece is None:
            return ""
        self._undecoded.clear()
        return self._without_outer_space(piece)

    def end(self) -> str:
        """The text that remains after the last token: replacement characters for bytes that are no character."""
        return self._without_outer_space(self._tokenizer.decode(self._undecoded, skip_special_tokens=False))

    def _without_outer_space(self, piece: str) -> str:
        text = self._space + piece
        if not self._begun:
            text = text.lstrip()
        visible = text.rstrip()
        self._space = text[len(visible) :]
        self._begun = self._begun or bool(visible)
        return visible
