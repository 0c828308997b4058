"""Text while its tokens are generated: decoded a token at a time, not from the beginning for each."""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Any, TypeVar

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

Result = TypeVar("Result")


class TextStream:
    """Decodes tokens one after another. The pieces joined are the text of all tokens without surrounding space."""

    def __init__(self, tokenizer: Tokenizer, silent: Collection[int]) -> None:
        """silent: ids of control tokens that are no part of a text."""
        self._tokenizer, self._silent = tokenizer, silent
        self._decoder = DecodeStream(skip_special_tokens=False)
        self._undecoded: list[int] = []  # bytes of a character that isn't complete
        self._space = ""  # held back: at the end of a text it is dropped
        self._begun = False

    def add(self, token: int) -> str:
        """What the token adds to the text; empty while a character is incomplete."""
        if token in self._silent:
            return ""
        self._undecoded.append(token)
        piece = self._decoder.step(self._tokenizer, token)
        if piece is None:
            return ""
        self._undecoded.clear()
        return self._without_outer_space(piece)

    def end(self) -> str:
        """What remains after the last token: replacement characters for bytes that are no character."""
        return self._without_outer_space(self._tokenizer.decode(self._undecoded, skip_special_tokens=False))

    def _without_outer_space(self, piece: str) -> str:
        text = self._space + piece
        if not self._begun:
            text = text.lstrip()
        visible = text.rstrip()
        self._space = text[len(visible) :]
        self._begun = self._begun or bool(visible)
        return visible


def run_to_end(steps: Generator[Any, None, Result]) -> Result:
    """What a generator returns, its items left aside."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
