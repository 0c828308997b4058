# SPDX-License-Identifier: Apache-2.0
"""`gar bench score`: how many answers of GAR-Bench-VQA are right, as the released evaluation counts."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from gar_ros.bench.files import write_whole
from gar_ros.bench.gar_items import Item, read_items, unique
from gar_ros.bench.options import positive

RELEASED_PROMPTS = 5
"""Regions that the released models can be asked about at once."""


@dataclass(frozen=True)
class Count:
    """Right answers among items."""

    right: int
    items: int

    @property
    def percent(self) -> float:
        """Of the items, 0 to 100."""
        return 100 * self.right / self.items if self.items else 0.0


@dataclass(frozen=True)
class Score:
    """A predictions file's score. Unanswered and missing items count as not right."""

    overall: Count
    types: dict[str, Count]
    prompts: int
    beyond_prompts: Count  # items with more regions than `prompts`
    unanswered: int  # items with an empty output
    missing: int  # items of the annotations without a prediction


class _Prediction(msgspec.Struct):
    """What a prediction has beside its annotation."""

    model_output: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar bench score`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="predictions for GAR-Bench-VQA in the released format")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="JSON",
        help="the annotations: items that are not in it are refused, its items without a prediction count as not right",
    )
    parser.add_argument(
        "--prompts",
        type=positive,
        default=RELEASED_PROMPTS,
        metavar="N",
        help="regions that the model can be asked about at once (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="also write the score as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the table. Raises GarError INVALID_REQUEST."""
    score = scored(args.file, args.data, args.prompts)
    print(table(score))
    if args.json is not None:
        write_whole(args.json, as_json(score))
    return 0


def scored(file: Path, data: Path | None = None, prompts: int = RELEASED_PROMPTS) -> Score:
    """Scores a predictions file, on the annotations of `data` where given.

    An output is right when it equals the answer but for upper and lower case, as released. Raises GarError
    INVALID_REQUEST for a malformed, duplicate or unknown item.
    """
    predictions = read_items(file, "vqa")
    outputs = {id(item): item.place.read(item.source, _Prediction).model_output for item in predictions}
    by_identity = unique(predictions)
    items = predictions
    if data is not None:
        items = read_items(data, "vqa")
        _check_known(predictions, unique(items), data)
    right: list[tuple[Item, bool]] = []
    for item in items:
        prediction = by_identity.get(item.identity)
        output = outputs[id(prediction)] if prediction else ""
        right.append((item, output.lower() == item.answer.lower()))
    types, overall = counted([(item.type, is_right) for item, is_right in right])
    return Score(
        overall=overall,
        types=types,
        prompts=prompts,
        beyond_prompts=_count(is_right for item, is_right in right if len(item.masks) > prompts),
        unanswered=sum(not output.strip() for output in outputs.values()),
        missing=len(items) - len(predictions),
    )


def counted(answers: Sequence[tuple[str, bool]]) -> tuple[dict[str, Count], Count]:
    """The counts by type, in the types' order, and of all. answers: type of each item, and whether it is right."""
    types = sorted({type for type, _ in answers})
    by_type = {type: _count(is_right for its_type, is_right in answers if its_type == type) for type in types}
    return by_type, _count(is_right for _, is_right in answers)


def _count(right: Iterable[bool]) -> Count:
    results = list(right)
    return Count(sum(results), len(results))


def _check_known(predictions: Sequence[Item], known: dict[tuple[str, ...], Item], data: Path) -> None:
    for item in predictions:
        annotation = known.get(item.identity)
        if annotation is None:
            raise item.place.error(f"unknown: '{data}' has no item of this image, masks, question and choices")
        for key in ("answer", "type"):
            expected, came = annotation.source[key], item.source[key]
            if expected != came:
                raise item.place.at(key).error(f"expected '{expected}' as in '{data}', got '{came}'")


def table(score: Score) -> str:
    """The score for people."""
    lines = rows_of(score.types, score.overall)
    beyond = score.beyond_prompts
    lines.append("")
    lines.append(f"more than {score.prompts} regions: {beyond.items} items, {beyond.right} of them right")
    lines.append(f"unanswered: {score.unanswered} items (not right)")
    if score.missing:
        lines.append(f"without a prediction: {score.missing} items (not right)")
    return "\n".join(lines)


def rows_of(types: dict[str, Count], overall: Count) -> list[str]:
    """A table's lines: the counts by type and of all."""
    rows = [*types.items(), ("overall", overall)]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'type':{width}}  {'right':>9}  percent"]
    return lines + [
        f"{name:{width}}  {f'{count.right}/{count.items}':>9}  {count.percent:7.1f}" for name, count in rows
    ]


def as_json(score: Score) -> str:
    """The score for machines: counts, and percent unrounded."""
    data = {
        **asdict(score),
        "overall": _as_object(score.overall),
        "types": {name: _as_object(count) for name, count in score.types.items()},
        "beyond_prompts": _as_object(score.beyond_prompts),
    }
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def _as_object(count: Count) -> dict[str, float]:
    return {"right": count.right, "items": count.items, "percent": count.percent}
