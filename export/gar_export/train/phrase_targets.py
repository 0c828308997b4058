# SPDX-License-Identifier: Apache-2.0
"""Targets of the losses on phrases: where their words stand, and what the regions' names must hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gar_export.train.heads import CLASSES
from gar_export.train.packing import Packed
from gar_export.train.phrases import reading
from gar_ros.sim.questions import Question


def value_words(
    asked: Sequence[Sequence[Question]], packed: Packed, attributes: Tensor, token_of: Callable[[str, int], int]
) -> Tensor:
    """int64 [n, 4] of every word for a value in a phrase: picture, place after the prefix, role (see `heads.ROLES`);
    and, where it stands after a region's name, 1 where the region has the value, else 0; -1 elsewhere.

    attributes: int64 [B, R, 4]. token_of: (beginning of a question, number of regions) -> token of its last word.
    """
    found = []
    for row, questions in enumerate(asked):
        for number, question in enumerate(questions):
            words = reading(question.kind, question.text).words
            start = int((packed.segments[row] == number).nonzero()[0]) if words else 0
            for word in words:
                has = -1
                if word.after_name:
                    region = int(question.text.split("<Prompt")[1][0])
                    has = int(attributes[row, region, word.attribute] == word.value)
                place = token_of(question.text[: word.end], attributes.shape[1])
                found.append([row, start + place, 2 * word.part + word.negated, has])
    return torch.tensor(found, dtype=torch.long).reshape(-1, 4)


def wanted(questions: Sequence[Question], ordinals: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What phrases ask of the regions that are named after them, int64 [m, 5] (a class of CLASSES_WANTED for each
    attribute, 1 for foreign words); and which of the n names these are, bool [n].

    questions: of each name. ordinals: whether it is the first, second .. region that its question names.
    """
    described, found = [], []
    for question, ordinal in zip(questions, ordinals, strict=True):
        parts = reading(question.kind, question.text).wanted
        described.append(bool(parts))
        if parts:
            part = parts[min(ordinal, 1)]
            found.append([*part.classes, int(part.foreign)])
    return torch.tensor(found, dtype=torch.long).reshape(-1, len(CLASSES) + 1), torch.tensor(described)


def suits(wanted: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Whether regions have what is asked of each attribute, and whether anything is, bool [m, 4] each.

    wanted: int64 [m, 5], own: int64 [m, 4], the regions' attributes.
    """
    classes, counts = wanted[:, :-1], own.new_tensor(CLASSES)
    plain, same = classes <= counts, (classes - 1) % counts == own
    return same == plain, classes > 0


def relations(questions: Sequence[Question]) -> Tensor:
    """The relation (see `Reading`) that the phrase of each question names, int64 [n]."""
    return torch.tensor([reading(question.kind, question.text).relation for question in questions])


def verdicts(questions: Sequence[Question], attributes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Of questions whose phrases name two things: whether both regions have all that is asked of them, and whether the
    relation holds, which the answer tells where they have; float [n] each, NaN where it is unknown.

    attributes: int64 [2, 4] of the regions of each question in the order in which it names them.
    """
    fitting, holding = [], []
    for question, own in zip(questions, attributes, strict=True):
        parts = reading(question.kind, question.text).wanted
        asks = torch.tensor([[*part.classes, int(part.foreign)] for part in parts])
        suit, asked = suits(asks, own)
        fits = bool((suit | ~asked).all()) and not bool(asks[:, -1].any())
        yes = question.answer == "yes"
        fitting.append(float(fits))
        holding.append(float(yes) if fits or yes else float("nan"))
    return torch.tensor(fitting), torch.tensor(holding)
