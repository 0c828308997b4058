# SPDX-License-Identifier: Apache-2.0
"""GAR-Bench's annotations and predictions, in the released format.

A list of objects; `image` is relative to the file's folder, `mask_rles` are COCO RLEs, <Prompt0> first. Predictions are
the same objects with `model_output`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gar_ros.bench import files
from gar_ros.bench.files import Place, picture_size
from gar_ros.bench.masks import check_rle
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import shortened

RELEASED_FILES = {
    "vqa": "GAR-Bench-VQA.json",
    "caption-simple": "GAR-Bench-Caption-Simple.json",
    "caption-detailed": "GAR-Bench-Caption-Detailed.json",
}
"""Task -> the released annotation file."""

_DETAILED_REQUEST = "Describe <Prompt0> in detail, including the relationship with <Prompt1>."
_LETTER = re.compile(r"([A-Z])[.):]")


_Text = Annotated[str, msgspec.Meta(pattern=r"\S", description="a text that is not blank")]
_Masks = Annotated[tuple[Any, ...], msgspec.Meta(min_length=1, description="a list of at least one mask")]
_Items = Annotated[list[Any], msgspec.Meta(min_length=1, description="a list of items")]


class _Detailed(msgspec.Struct):
    """What an item must have for the task caption-detailed; other keys are let be."""

    image: str
    masks: _Masks = msgspec.field(name="mask_rles")


class _Simple(_Detailed):
    question: _Text


class _Vqa(_Simple):
    choices: tuple[str, ...]
    answer: _Text
    type: _Text


_DECLARED: dict[str, type[_Detailed]] = {"vqa": _Vqa, "caption-simple": _Simple, "caption-detailed": _Detailed}


@dataclass(frozen=True)
class Item:
    """One annotation. question, choices, answer and type are empty where the task has none."""

    place: Place
    source: dict[str, Any]  # as in the file
    image: str
    masks: tuple[Any, ...]
    question: str = ""
    choices: tuple[str, ...] = ()
    answer: str = ""
    type: str = ""

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal for the same item in annotations and predictions."""
        return (self.image, self.question, *self.choices, *(json.dumps(rle, sort_keys=True) for rle in self.masks))

    def text(self, task: str) -> str:
        """What the released evaluation asks."""
        if task == "caption-detailed":
            return _DETAILED_REQUEST
        if task == "caption-simple":
            return self.question
        options = "\n".join(["Options:", *self.choices])
        return f"Question: {self.question}\n{options}\nAnswer with the correct option's letter directly."

    def letters(self) -> list[str]:
        """The choices' letters, "A" of "A. red". Raises GarError INVALID_REQUEST."""
        matches = [_LETTER.match(choice) for choice in self.choices]
        letters = [match[1] for match in matches if match]
        if len(letters) < 2 or len(letters) != len(matches) or len(set(letters)) != len(letters):
            raise self.place.at("choices").error(
                f"expected two or more choices with letters of their own, such as 'A. red', got "
                f"{shortened(list(self.choices))}"
            )
        return letters

    def check_image(self) -> tuple[int, int]:
        """Size (width, height) of the image, of which the masks are. Raises GarError INVALID_REQUEST."""
        size = picture_size(self.path, self.place.at("image"))
        for number, rle in enumerate(self.masks):
            check_rle(rle, size, self.place.at(f"mask_rles[{number}]"))
        return size

    @property
    def path(self) -> Path:
        """The image file."""
        return self.place.file.parent / self.image


def read_items(path: Path, task: str) -> list[Item]:
    """Every item with all keys that the task needs. Raises GarError INVALID_REQUEST."""
    sources = Place(path).read(files.read_json(path), _Items)
    declared = files.read_items(path, sources, "item", _DECLARED[task])
    return [
        Item(place, source, **msgspec.structs.asdict(item))
        for source, (place, item) in zip(sources, declared, strict=True)
    ]


def unique(items: Sequence[Item]) -> dict[tuple[str, ...], Item]:
    """The items by identity. Raises GarError INVALID_REQUEST for a repeated one."""
    by_identity: dict[tuple[str, ...], Item] = {}
    for item in items:
        first = by_identity.setdefault(item.identity, item)
        if first is not item:
            raise item.place.error(f"repeats {first.place.item}: same image, masks, question and choices")
    return by_identity


def annotation_file(data: Path, task: str) -> Path:
    """`data` itself, or in a folder the task's released file, else the only JSON file. Raises GarError."""
    if not data.is_dir():
        return data
    released = data / RELEASED_FILES[task]
    if released.is_file():
        return released
    found = sorted(data.glob("*.json"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in found) or "none"
    raise GarError(
        ErrorCode.INVALID_REQUEST, f"'{data}': expected {released.name} or a single JSON file in it, found {names}"
    )
