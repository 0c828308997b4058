# SPDX-License-Identifier: Apache-2.0
"""The released prompt as token ids: the texts around image, regions and question.

Training, export and runtime all use this definition. A whole prompt is `prefix(...) + question(...)`; the tokens of
answers to a closed question are `choices(...)`. The prefix ends with the last region's crop tokens. No tokenizer joins
text across them, so the ids are the same whether prefix and question are tokenised together or not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tokenizers import Tokenizer

from gar_ros.engine.model_dir.manifest import TOKENIZER, PromptFormat, Tokens
from gar_ros.engine.prompt_spelling import REFERENCE, check_spelling
from gar_ros.engine.text_stream import TextStream
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import check_count

Form = Literal["question", "caption", "video"]
"""The form of a prefix. "question": an image with one or more regions. "caption": an image with a single region, in the
released code's words for a description. "video": several images of one region, <Prompt0>, with one crop token for each
image and the question right after them."""

CAPTION_PROMPT = 1
"""The prompt number that the released captioning code gives its single region."""

_INTRODUCTION = "There are some objects I am curious about: "
_CAPTION_REQUEST = "Describe this masked region in detail."


@dataclass(frozen=True)
class Question:
    """A checked question with its choices as ids. Made by `PromptBuilder.parse`, `parse_turn`, `parse_caption`.

    choices: empty for an open question. count: number of regions that the texts may name. form: of the prefix before
    it. ids: what follows the prefix, or an earlier answer. choice_ids: ids of each choice without the end token.
    """

    text: str
    choices: tuple[str, ...]
    count: int
    form: Form
    ids: tuple[int, ...]
    choice_ids: tuple[tuple[int, ...], ...] = ()


class PromptBuilder:
    """Makes the token ids of everything that the decoder reads. Features later replace image and crop tokens.

    Thread-safe: it never changes after construction.
    """

    def __init__(self, tokens: Tokens, prompt_format: PromptFormat, tile_tokens: int, tokenizer: Tokenizer) -> None:
        """tile_tokens: number of tokens of one tile, and of one region. tokenizer: must not be used elsewhere from now
        on, since its settings are changed.

        Raises GarError BAD_MODEL when the tokenizer lacks the model's control tokens.
        """
        _check_control_tokens(tokens, tokenizer)
        self._tokens = tokens
        self._format = prompt_format
        self._tile_tokens = tile_tokens
        self._tokenizer = tokenizer
        # Set once and not around each call, because several threads may use the tokenizer at a time.
        tokenizer.encode_special_tokens = True  # control tokens in a text are read as their characters
        added = tokenizer.get_added_tokens_decoder()
        self._control_ids = {token.content: id for id, token in added.items() if token.special}
        self._never_text = frozenset(self._control_ids.values())
        self._silent = self._never_text - set(tokens.prompts)
        longest_first = sorted(self._control_ids, key=len, reverse=True)
        self._control = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    @property
    def max_regions(self) -> int:
        """Number of prompts that the model has."""
        return len(self._tokens.prompts)

    def prefix(self, form: Form, tiles: int, count: int) -> list[int]:
        """Ids from BOS to the last crop token, for `tiles` tiles and `count` regions, or images of a video.

        The image token appears tiles * tile_tokens times, the crop token of each region or image tile_tokens times.
        Raises ValueError for a count that the form or the model doesn't have.
        """
        maximum = 1 if form == "caption" else self.max_regions
        if not 0 < count <= maximum:
            raise ValueError(f"expected 1 to {maximum} regions or images in a {form} prompt, got {count}")
        text = self._format.before_image + self._name(self._tokens.image) + self._format.after_image
        ids = self._template_ids(text + self._regions(form, count))
        repeats = dict.fromkeys(self._tokens.crops, self._tile_tokens) | {self._tokens.image: tiles * self._tile_tokens}
        body = [id for id in ids if id != self._tokens.bos]
        return [self._tokens.bos] + [repeated for id in body for repeated in [id] * repeats.get(id, 1)]

    def _regions(self, form: Form, count: int) -> str:
        """The sentence that names the regions, each with a single crop token."""
        crops = [self._name(crop) for crop in self._tokens.crops]
        if form == "caption":
            return _single(CAPTION_PROMPT, crops[CAPTION_PROMPT])
        if form == "video":
            return _single(0, "".join(crops[:count]))
        names = "".join(f"<Prompt{number}>; " for number in range(count))
        return _INTRODUCTION + names + "".join(f"\n<Prompt{number}>: {crops[number]}" for number in range(count))

    def _name(self, token: int) -> str:
        return str(self._tokenizer.id_to_token(token))

    def parse(self, text: str, choices: Sequence[str], count: int, form: Form = "question") -> Question:
        """A question about `count` regions; with `choices` a closed one.

        Raises GarError INVALID_REQUEST, TOO_MANY_REGIONS, and what `question` and `choices` raise.
        """
        check_count(count, self.max_regions)
        return self._parsed(text, choices, count, form, self.question(text, count, form))

    def parse_turn(self, text: str, choices: Sequence[str], count: int, form: Form = "question") -> Question:
        """A further question of a conversation about `count` regions. Raises GarError as `parse` does."""
        check_count(count, self.max_regions)
        return self._parsed(text, choices, count, form, self.next_turn(text, count))

    def parse_caption(self, count: int, form: Form = "caption") -> Question:
        """The released request to describe a region, as a question with an empty text.

        Raises GarError INVALID_REQUEST unless count is 1, TOO_MANY_REGIONS.
        """
        check_count(count, self.max_regions)
        if count != 1:
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected one region to describe, got {count}")
        return Question("", (), count, form, tuple(self.caption_request()))

    def _parsed(self, text: str, choices: Sequence[str], count: int, form: Form, ids: list[int]) -> Question:
        choice_ids = tuple(tuple(ids) for ids in self.choices(choices, count)) if choices else ()
        if count == 0:
            raise GarError(ErrorCode.INVALID_REQUEST, "expected at least one region, got none")
        return Question(text, tuple(choices), count, form, tuple(ids), choice_ids)

    def question(self, text: str, count: int, form: Form = "question") -> list[int]:
        """Ids that follow a "question" or "video" prefix of `count` regions: the user's text and the end of the turn.

        Raises GarError INVALID_REQUEST for an empty text or a misspelled <PromptN>, PROMPT_WITHOUT_REGION for a
        <PromptN> with N >= count.
        """
        if not text.strip():
            raise GarError(ErrorCode.INVALID_REQUEST, "expected a question, got an empty text")
        blank_line = "\n\n" if form == "question" else ""
        return self._user_ids(blank_line + text.strip(), count) + self._end_of_turn()

    def next_turn(self, text: str, count: int) -> list[int]:
        """Ids that follow an answer in a conversation: the answer's end token, the user's text and the end of the turn.

        Raises GarError as `question` does.
        """
        if not text.strip():
            raise GarError(ErrorCode.INVALID_REQUEST, "expected a question, got an empty text")
        match = self._control.search(self._format.after_text)
        end = match[0] if match else ""
        # The part of the format between the end of the system's turn, if there is one, and the user's text.
        opening = self._format.before_image.rpartition(end)[2] if end else self._format.before_image
        ids = [id for id in self._template_ids(end + opening) if id != self._tokens.bos]
        return ids + self._user_ids(text.strip(), count) + self._end_of_turn()

    def caption_request(self) -> list[int]:
        """Ids that follow a "caption" or "video" prefix and ask for a description."""
        return self._user_ids(_CAPTION_REQUEST, 0) + self._end_of_turn()

    def choice(self, text: str, count: int | None = None) -> list[int]:
        """Ids of an answer without the end token. count: number of prompts that it may name, None for all."""
        return self._user_ids(text, self.max_regions if count is None else count)

    def choices(self, texts: Sequence[str], count: int) -> list[list[int]]:
        """Ids of each choice of a closed question about `count` regions, without the end token.

        Raises GarError INVALID_REQUEST unless there are two or more choices, which are not empty and differ without
        surrounding space; PROMPT_WITHOUT_REGION for a <PromptN> with N >= count.
        """
        stripped = [text.strip() for text in texts]
        if len(stripped) < 2 or not all(stripped) or len(set(stripped)) != len(stripped):
            raise GarError(
                ErrorCode.INVALID_REQUEST, f"expected at least two different, non-empty choices, got {list(texts)}"
            )
        return [self.choice(text, count) for text in stripped]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of generated ids without control tokens, except for <PromptN>."""
        return str(
            self._tokenizer.decode([id for id in ids if id not in self._silent], skip_special_tokens=False)
        ).strip()

    def text_stream(self) -> TextStream:
        """A decoder that takes one id after another; its pieces joined are the text that `decode` gives for all ids."""
        return TextStream(self._tokenizer, self._silent)

    def _end_of_turn(self) -> list[int]:
        return self._template_ids(self._format.after_text)

    def _template_ids(self, text: str) -> list[int]:
        """Ids of a text from the prompt format, in which the names of control tokens stand for these tokens."""
        ids: list[int] = []
        for piece in self._control.split(text):
            ids += [self._control_ids[piece]] if piece in self._control_ids else self._plain_ids(piece)
        return ids

    def _user_ids(self, text: str, count: int) -> list[int]:
        """Ids of a user's text, in which <Prompt0>.. of the `count` regions are the only control tokens."""
        check_spelling(text)
        ids: list[int] = []
        start = 0
        for match in REFERENCE.finditer(text):
            number = int(match[1][:9])  # a longer one is none of the regions either
            if number >= count:
                given = f"got {count} region(s), <Prompt0> to <Prompt{count - 1}>" if count else "got no region"
                raise GarError(ErrorCode.PROMPT_WITHOUT_REGION, f"expected a region for {match[0]}, {given}")
            ids += [*self._plain_ids(text[start : match.start()]), self._tokens.prompts[number]]
            start = match.end()
        return ids + self._plain_ids(text[start:])

    def _plain_ids(self, text: str) -> list[int]:
        if any("\ud800" <= character <= "\udfff" for character in text):  # what undecodable bytes become in Python
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected Unicode text, got {text!r}")
        ids = list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        if not self._never_text.isdisjoint(ids):  # a tokenizer that normalises text could make one
            names = sorted({self._name(id) for id in self._never_text.intersection(ids)})
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected a text without control tokens, got {', '.join(names)}")
        return ids


def _single(number: int, crops: str) -> str:
    """The sentence that names a single region, <Prompt{number}>."""
    name = f"<Prompt{number}>"
    return f"{_INTRODUCTION}{name};\n{name}: {crops}"


def _check_control_tokens(tokens: Tokens, tokenizer: Tokenizer) -> None:
    if len(tokens.crops) != len(tokens.prompts) or len(tokens.prompts) <= CAPTION_PROMPT:
        raise GarError(
            ErrorCode.BAD_MODEL,
            f"expected as many crop tokens as prompts and at least {CAPTION_PROMPT + 1}, "
            f"got {len(tokens.crops)} and {len(tokens.prompts)}",
        )
    added = tokenizer.get_added_tokens_decoder()
    names: Sequence[str | None] = [f"<Prompt{number}>" for number in range(len(tokens.prompts))]
    expected = dict.fromkeys((tokens.bos, tokens.image, *tokens.eos, *tokens.crops)) | dict(
        zip(tokens.prompts, names, strict=True)
    )
    for id, name in expected.items():
        if id not in added or not added[id].special or name not in (None, added[id].content):
            found = f"'{added[id].content}', special: {added[id].special}" if id in added else "none"
            raise GarError(
                ErrorCode.BAD_MODEL, f"{TOKENIZER}: expected the special token {name or ''} with id {id}, got {found}"
            )
