# SPDX-License-Identifier: Apache-2.0
"""VideoRefer-BenchQ's annotations in their published format (benchmark/README.md of DAMO-NLP-SG/VideoRefer).

A list of objects with `video`, `Question`, `type`, `options` such as "(A) red", `Answer`, `frame_idx` and `annotation`:
for each <region> of the question, in its order, the object's masks by frame number, null where it isn't seen.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from gar_ros.bench.files import Place
from gar_ros.bench.masks import run_lengths
from gar_ros.json_reader import printable, shortened

_REGION = re.compile(r"(?:<object(\d+)>)?<region>")
_OBJECT = re.compile(r"<object(\d+)>")
_LETTER = re.compile(r"\(([A-Z])\)")
_CLOSED_LETTER = re.compile(r"([A-Z])\)")
_FRAME = re.compile(r"[0-9]{1,9}")
_REQUEST = "Answer with the option's letter from the given choices directly."

_Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="a text that is not blank")]


class _Mask(msgspec.Struct):
    segmentation: Any


class _Source(msgspec.Struct):
    """The keys that are read."""

    video: _Text
    question: _Text = msgspec.field(name="Question")
    type: _Text
    options: Annotated[tuple[_Text, ...], msgspec.Meta(min_length=2, description="a list of two or more options")]
    answer: _Text = msgspec.field(name="Answer")
    frame_idx: str | int
    annotation: Annotated[
        list[dict[str, _Mask]], msgspec.Meta(min_length=1, description="a list of at least one object's masks")
    ]


@dataclass(frozen=True)
class Mask:
    """An object's mask in one frame, as in the file; `masks.check_segmentation` checks it. place: where it stands."""

    segmentation: Any
    place: Place

    @property
    def is_empty(self) -> bool:
        """Whether it is a run-length encoding without a pixel inside."""
        counts = self.segmentation.get("counts") if isinstance(self.segmentation, dict) else None
        runs = run_lengths(counts) if isinstance(counts, str) else counts
        return isinstance(runs, list) and bool(runs) and not any(runs[1::2])


@dataclass(frozen=True)
class Item:
    """One question. text: with its options and <PromptN> for its objects. letters: of the options; one is `answer`.

    frame: the one that the benchmark's single-frame mode takes. objects: <PromptN> is objects[N], its masks by frame.
    """

    place: Place
    video: str
    text: str
    letters: tuple[str, ...]
    answer: str
    type: str
    frame: int
    objects: tuple[dict[int, Mask], ...]


def read_item(source: Any, place: Place) -> Item:
    """The item of an object of the file. Raises GarError INVALID_REQUEST."""
    read = place.read(source, _Source)
    letters = _letters(read.options, place.at("options"))
    words = " ".join([read.question, *read.options])
    text, annotated = _with_prompts(words, len(read.annotation), place)
    return Item(
        place,
        read.video,
        f"{text}. {_REQUEST}",
        letters,
        _answer(read.answer, letters, place.at("Answer")),
        read.type,
        _frame(str(read.frame_idx), place.at("frame_idx")),
        tuple(_masks(index, read.annotation[index], place) for index in annotated),
    )


def letter_of(output: str) -> str:
    """The option that an answer names, as VideoRefer's scorer finds it; empty for an empty answer."""
    for pattern in (_LETTER, _CLOSED_LETTER):
        if match := pattern.search(output):
            return match[1]
    return output.replace(".", "")[:1]


def _letters(options: tuple[str, ...], place: Place) -> tuple[str, ...]:
    matches = [_LETTER.match(option) for option in options]
    letters = tuple(match[1] for match in matches if match)
    if len(letters) != len(options) or len(set(letters)) != len(letters):
        raise place.error(
            f"expected options with letters of their own, such as '(A) red', got {shortened(list(options))}"
        )
    return letters


def _answer(answer: str, letters: tuple[str, ...], place: Place) -> str:
    match = _LETTER.search(answer)
    letter = match[1] if match else answer.strip()
    if letter not in letters:
        raise place.error(
            f"expected an answer with one of the options' letters {', '.join(letters)}, got {shortened(answer)}"
        )
    return letter


def _with_prompts(text: str, annotations: int, place: Place) -> tuple[str, list[int]]:
    """The text with <PromptN> for its objects, and of each object the index of its annotation.

    The n-th <region> has the n-th annotation. <objectK> names it again elsewhere in the text.
    """
    regions = list(_REGION.finditer(text))
    if len(regions) != annotations:
        raise place.at("annotation").error(
            f"expected masks for each <region> of question and options, which have {len(regions)}, got {annotations}"
        )
    prompts: dict[str, str] = {}  # by what the text calls the object
    annotated: list[int] = []

    def name(region: re.Match[str]) -> str:
        index = next(unread)
        called = region[1] or f"region {index}"
        if called not in prompts:
            prompts[called] = f"<Prompt{len(prompts)}>"
            annotated.append(index)
        return prompts[called]

    def again(found: re.Match[str]) -> str:
        if found[1] not in prompts:
            raise place.at("Question").error(f"expected a <region> after {found[0]} somewhere, found none")
        return prompts[found[1]]

    unread = iter(range(annotations))
    return _OBJECT.sub(again, _REGION.sub(name, text)), annotated


def _masks(index: int, frames: dict[str, _Mask], place: Place) -> dict[int, Mask]:
    masks = {}
    for number, mask in frames.items():
        where = place.at(f"annotation[{index}].{number}")
        frame = _frame(number, where)
        if mask.segmentation is not None:
            masks[frame] = Mask(mask.segmentation, place.at(f"{where.key}.segmentation"))
    return masks


def _frame(number: str, place: Place) -> int:
    if not _FRAME.fullmatch(number):
        raise place.error(f"expected the number of a frame, got '{printable(number[:40])}'")
    return int(number)
