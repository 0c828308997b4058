"""The texts around image, regions and question as released, and their token ids.

One definition for training, export and runtime. A whole request is `prefix(...) + question(...)`, answered by tokens
as `choices(...)` gives them. The prefix ends with the last region's crop tokens: that is a hard boundary for every
tokenizer, so ids don't depend on whether prefix and question are tokenised together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tokenizers import Tokenizer

from gar_ros.engine.model_dir.manifest import TOKENIZER, PromptFormat, Tokens
from gar_ros.engine.text_stream import TextStream
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import check_count

Form = Literal["question", "caption", "video"]
"""What the prefix before a question holds. "question": one to all prompts of an image. "caption": a single region, as
the released code asks for its description. "video": one region through several frames, <Prompt0>, with one crop token
a frame and the text right after them."""

CAPTION_PROMPT = 1
"""The prompt number that the released captioning code gives its single region."""

_INTRODUCTION = "There are some objects I am curious about: "
_CAPTION_REQUEST = "Describe this masked region in detail."
_REFERENCE = re.compile(r"<Prompt(0|[1-9][0-9]{0,3})>")


@dataclass(frozen=True)
class Question:
    """A question and its choices as token ids, checked. Made by `PromptBuilder.parse`, `parse_turn`, `parse_caption`.

    count: of the regions that its texts may name. ids: what follows the prefix of this `form`, or an earlier answer.
    choice_ids: of each choice, without the end token; empty for an open question.
    """

    text: str
    choices: tuple[str, ...]
    count: int
    form: Form
    ids: tuple[int, ...]
    choice_ids: tuple[tuple[int, ...], ...] = ()


class PromptBuilder:
    """Token ids of everything the decoder reads, except for the features that replace image and crop tokens.

    Never changes after construction, so several threads may use it.
    """

    def __init__(self, tokens: Tokens, prompt_format: PromptFormat, tile_tokens: int, tokenizer: Tokenizer) -> None:
        """tile_tokens: tokens of one tile and of one region. The builder takes the tokenizer over.

        Raises GarError BAD_MODEL for a foreign tokenizer.
        """
        _check_control_tokens(tokens, tokenizer)
        self._tokens = tokens
        self._format = prompt_format
        self._tile_tokens = tile_tokens
        self._tokenizer = tokenizer
        # For good, not around each call: question() runs in several threads of the node.
        tokenizer.encode_special_tokens = True  # control tokens in a text are read as their characters
        added = tokenizer.get_added_tokens_decoder()
        self._control_ids = {token.content: id for id, token in added.items() if token.special}
        self._silent = set(self._control_ids.values()) - set(tokens.prompts)
        longest_first = sorted(self._control_ids, key=len, reverse=True)
        self._control = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    @property
    def max_regions(self) -> int:
        """Prompts the model knows."""
        return len(self._tokens.prompts)

    def prefix(self, form: Form, tiles: int, count: int) -> list[int]:
        """Ids up to and including the last crop tokens, with one BOS, for `tiles` tiles and `count` regions or frames.

        The image token appears tiles * tile_tokens times, each region's or frame's crop token tile_tokens times.
        """
        if not 0 < count <= (1 if form == "caption" else self.max_regions):
            raise ValueError(f"no {form} prompt for {count} regions or frames")
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
        """A question about `count` regions, closed by `choices` where there are any.

        Raises GarError INVALID_REQUEST, TOO_MANY_REGIONS, and what `question` and `choices` raise.
        """
        check_count(count, self.max_regions)
        return self._parsed(text, choices, count, form, self.question(text, count, form))

    def parse_turn(self, text: str, choices: Sequence[str], count: int, form: Form = "question") -> Question:
        """The next question of a conversation about `count` regions. Raises as `parse` does."""
        check_count(count, self.max_regions)
        return self._parsed(text, choices, count, form, self.next_turn(text, count))

    def parse_caption(self, count: int, form: Form = "caption") -> Question:
        """The released request to describe a region; its text is empty. Raises GarError INVALID_REQUEST unless count
        is 1."""
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
        """Ids that follow a "question" or "video" prefix of `count` regions: the user's text and the turn's end.

        Raises GarError INVALID_REQUEST for an empty text, PROMPT_WITHOUT_REGION for a <PromptN> with N >= count.
        """
        if not text.strip():
            raise GarError(ErrorCode.INVALID_REQUEST, "expected a question, got an empty text")
        blank_line = "\n\n" if form == "question" else ""
        return self._user_ids(blank_line + text.strip(), count) + self._end_of_turn()

    def next_turn(self, text: str, count: int) -> list[int]:
        """Ids that follow an answer when the user goes on: the answer's end, the user's turn and its end.

        Raises as `question` does.
        """
        if not text.strip():
            raise GarError(ErrorCode.INVALID_REQUEST, "expected a question, got an empty text")
        found = self._control.search(self._format.after_text)
        end = found[0] if found else ""
        # What stands between the system's turn, if there is one, and the user's text.
        opening = self._format.before_image.rpartition(end)[2] if end else self._format.before_image
        ids = [id for id in self._template_ids(end + opening) if id != self._tokens.bos]
        return ids + self._user_ids(text.strip(), count) + self._end_of_turn()

    def caption_request(self) -> list[int]:
        """Ids that follow a "caption" or "video" prefix to have the region described."""
        return self._user_ids(_CAPTION_REQUEST, 0) + self._end_of_turn()

    def choice(self, text: str, count: int | None = None) -> list[int]:
        """Ids of an answer, without the end token; may name the first `count` prompts (all by default)."""
        return self._user_ids(text, self.max_regions if count is None else count)

    def choices(self, texts: Sequence[str], count: int) -> list[list[int]]:
        """Ids of each answer of a closed question about `count` regions, as `choice` gives them.

        Raises GarError INVALID_REQUEST unless they are two or more, none empty, all different without surrounding
        space; PROMPT_WITHOUT_REGION as `question` does.
        """
        stripped = [text.strip() for text in texts]
        if len(stripped) < 2 or not all(stripped) or len(set(stripped)) != len(stripped):
            raise GarError(
                ErrorCode.INVALID_REQUEST, f"expected at least two different, non-empty choices, got {list(texts)}"
            )
        return [self.choice(text, count) for text in stripped]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of generated ids: control tokens are dropped, <PromptN> stays."""
        return str(
            self._tokenizer.decode([id for id in ids if id not in self._silent], skip_special_tokens=False)
        ).strip()

    def text_stream(self) -> TextStream:
        """Decodes ids one after another to the text that `decode` gives for all of them."""
        return TextStream(self._tokenizer, self._silent)

    def _end_of_turn(self) -> list[int]:
        return self._template_ids(self._format.after_text)

    def _template_ids(self, text: str) -> list[int]:
        """Ids of a text of ours, in which control tokens are meant."""
        ids: list[int] = []
        for piece in self._control.split(text):
            ids += [self._control_ids[piece]] if piece in self._control_ids else self._plain_ids(piece)
        return ids

    def _user_ids(self, text: str, count: int) -> list[int]:
        """Ids of a user's text, in which nothing but <Prompt0>.. of the `count` regions is a control token."""
        ids: list[int] = []
        start = 0
        for match in _REFERENCE.finditer(text):
            number = int(match[1])
            if number >= count:
                given = f"got {count} region(s), <Prompt0> to <Prompt{count - 1}>" if count else "got no region"
                raise GarError(ErrorCode.PROMPT_WITHOUT_REGION, f"expected a region for {match[0]}, {given}")
            ids += [*self._plain_ids(text[start : match.start()]), self._tokens.prompts[number]]
            start = match.end()
        return ids + self._plain_ids(text[start:])

    def _plain_ids(self, text: str) -> list[int]:
        if any("\ud800" <= character <= "\udfff" for character in text):  # what undecodable bytes become in Python
            raise GarError(ErrorCode.INVALID_REQUEST, f"expected Unicode text, got {text!r}")
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)


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
