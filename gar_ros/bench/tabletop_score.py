# SPDX-License-Identifier: Apache-2.0
"""Accuracies of `gar bench tabletop`: by kind and by group of kinds, with chance, blind guessing and calibration."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gar_ros.sim.phrase_kinds import PHRASE_KINDS
from gar_ros.sim.questions import Question
from gar_ros.sim.scene import COLOURS, FINISHES, SHAPES, SIZES

GROUPS = ("attributes", "relations", "three_regions", "captions", "phrases")
BINS = 15  # of equal width, for the expected calibration error
Z95 = 1.959964  # of the normal distribution, for 95 % intervals

_PROMPT = re.compile(r"<Prompt\d+>")
_CAPTIONS = len(COLOURS) * len(SHAPES) * len(FINISHES) * len(SIZES)
_NAMES = len(COLOURS) * len(SHAPES)


@dataclass(frozen=True)
class Result:
    """One question that was asked. confidence: of the choice, None for free text."""

    kind: str
    group: str
    right: bool
    chance: float
    confidence: float | None


def result_of(question: Question, text: str, confidence: float) -> Result:
    """The result of answering `question` by `text`."""
    closed = confidence if question.choices else None
    return Result(question.kind, group_of(question), text == question.answer, chance_of(question), closed)


def group_of(question: Question) -> str:
    """Phrases are a group of their own, captions are free text; the others go by the number of different regions that a
    question names, none as one."""
    if question.kind in PHRASE_KINDS:
        return "phrases"
    if not question.choices:
        return "captions"
    named = set(_PROMPT.findall(question.text + " ".join(question.choices)))
    return GROUPS[min(max(len(named), 1), 3) - 1]


def chance_of(question: Question) -> float:
    """Probability that a guess among all possible answers is right."""
    if question.choices:
        return 1 / len(question.choices)
    return 1 / (_NAMES if question.kind == "what_is" else _CAPTIONS)


def wilson(right: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson, 1927)."""
    share, square = right / count, Z95**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return max(0.0, middle - half), min(1.0, middle + half)


def calibration_error(results: Iterable[Result]) -> float:
    """Expected calibration error of choices: |accuracy - mean confidence| of each bin of confidences, weighted by size.

    NaN without choices. (Guo et al., "On Calibration of Modern Neural Networks", 2017.)
    """
    pairs = np.array([(one.confidence, one.right) for one in results if one.confidence is not None], float)
    if not len(pairs):
        return math.nan
    bins = np.minimum((pairs[:, 0] * BINS).astype(int), BINS - 1)
    parts = [pairs[bins == number] for number in np.unique(bins)]
    return float(sum(len(part) * abs(part[:, 0].mean() - part[:, 1].mean()) for part in parts) / len(pairs))


def summary(results: Sequence[Result], blind: Sequence[Result]) -> dict[str, Any]:
    """`groups` and `types`: name -> accuracy, count, interval, chance, blind; and the calibration errors of
    phrases and of the others. Shares 0..1.

    blind: results of the same questions, or a part of them, without the picture; an accuracy of None where none was.
    """
    kinds = sorted({one.kind for one in results})
    return {
        "groups": {
            name: _row([r for r in results if r.group == name], [r for r in blind if r.group == name])
            for name in GROUPS
            if any(one.group == name for one in results)
        },
        "types": {
            kind: _row([r for r in results if r.kind == kind], [r for r in blind if r.kind == kind]) for kind in kinds
        },
        "calibration_error": calibration_error([one for one in results if one.group != "phrases"]),
        "phrases_calibration_error": calibration_error([one for one in results if one.group == "phrases"]),
    }


def _row(results: Sequence[Result], blind: Sequence[Result]) -> dict[str, Any]:
    right, count = sum(one.right for one in results), len(results)
    low, high = wilson(right, count)
    return {
        "accuracy": right / count,
        "count": count,
        "interval": [low, high],
        "chance": sum(one.chance for one in results) / count,
        "blind": sum(one.right for one in blind) / len(blind) if blind else None,
    }


def table(report: dict[str, Any]) -> str:
    """The report as a Markdown table, percent."""
    lines = ["| question | accuracy | 95 % interval | chance | blind | asked |", "|---|---|---|---|---|---|"]
    for part in ("groups", "types"):
        for name, row in report[part].items():
            shown = f"**{name}**" if part == "groups" else name
            low, high = row["interval"]
            blind = "-" if row["blind"] is None else f"{100 * row['blind']:.1f}"
            lines.append(
                f"| {shown} | {100 * row['accuracy']:.1f} | {100 * low:.1f} to {100 * high:.1f} | "
                f"{100 * row['chance']:.1f} | {blind} | {row['count']} |"
            )
    errors = f"{report['calibration_error']:.3f}; of phrases: {report['phrases_calibration_error']:.3f}"
    lines += ["", f"Expected calibration error of the choices' probabilities: {errors}"]
    return "\n".join(lines)
