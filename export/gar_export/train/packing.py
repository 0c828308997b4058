# SPDX-License-Identifier: Apache-2.0
"""Several questions about one picture in one sequence: a shared prefix, then questions that don't see each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NO_LABEL = -100
PADDING = -1  # segment of padding

Example = tuple[list[int], list[int]]
"""Ids of a question (turn's end included), and of its answer (end token included)."""


@dataclass(frozen=True)
class Packed:
    """What follows the prefix, for B pictures. ids, labels (of the *next* token, NO_LABEL elsewhere), segments
    (number of the question), positions: int64 [B, L]."""

    ids: Tensor
    labels: Tensor
    segments: Tensor
    positions: Tensor


def pack(pictures: Sequence[Sequence[Example]], prefix_length: int) -> Packed:
    """Questions one after another, each with positions that start after the prefix, as at run time."""
    rows = [_row(examples, prefix_length) for examples in pictures]
    length = max(len(row[0]) for row in rows)
    fill = (0, NO_LABEL, PADDING, prefix_length)
    columns = [
        torch.tensor([row[i] + [empty] * (length - len(row[i])) for row in rows]) for i, empty in enumerate(fill)
    ]
    return Packed(*columns)


def _row(examples: Sequence[Example], start: int) -> tuple[list[int], list[int], list[int], list[int]]:
    ids: list[int] = []
    labels: list[int] = []
    segments: list[int] = []
    positions: list[int] = []
    for number, (question, answer) in enumerate(examples):
        tokens = question + answer[:-1]  # nothing follows the end token
        ids += tokens
        labels += [NO_LABEL] * (len(question) - 1) + answer
        segments += [number] * len(tokens)
        positions += range(start, start + len(tokens))
    return ids, labels, segments, positions


def attention_mask(segments: Tensor, prefix_length: int) -> Tensor:
    """bool [B, 1, S, S], S = prefix_length + L: who may look at whom. Causal; a question sees the prefix and itself."""
    batch, length = segments.shape
    whole = torch.cat([segments.new_full((batch, prefix_length), PADDING), segments], 1)
    same = whole[:, :, None] == whole[:, None, :]
    same[:, :, :prefix_length] = True
    total = prefix_length + length
    return (same & torch.ones(total, total, dtype=torch.bool).tril())[:, None]


def answered(predicted: Tensor, packed: Packed, questions: Sequence[int]) -> list[list[bool]]:
    """For each picture, whether each of its questions is answered exactly: every answer token is the predicted one.

    predicted: int64 [B, L], argmax at each place; equal to greedy decoding, as one wrong token is a wrong answer.
    questions: how many each picture has.
    """
    wrong = (packed.labels != NO_LABEL) & (predicted != packed.labels)
    return [
        [not bool(wrong[row][packed.segments[row] == number].any()) for number in range(count)]
        for row, count in enumerate(questions)
    ]
