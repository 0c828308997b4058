# SPDX-License-Identifier: Apache-2.0
"""Several questions on one prefix."""

from __future__ import annotations

import torch

from gar_export.train.packing import NO_LABEL, PADDING, answered, attention_mask, pack

EXAMPLES = [[([5, 6], [7, 8]), ([9], [8])], [([5], [8])]]
"""Two pictures: of two questions (ids 5 6, answered 7 8; id 9, answered 8) and of one. 8 is the end token."""


def test_each_question_starts_after_the_prefix() -> None:
    packed = pack(EXAMPLES, prefix_length=10)
    assert packed.ids.tolist() == [[5, 6, 7, 9], [5, 0, 0, 0]]
    assert packed.positions[0].tolist() == [10, 11, 12, 10]
    assert packed.segments.tolist() == [[0, 0, 0, 1], [0, PADDING, PADDING, PADDING]]


def test_labels_are_the_next_answer_token() -> None:
    packed = pack(EXAMPLES, prefix_length=10)
    assert packed.labels.tolist() == [[NO_LABEL, 7, 8, 8], [8, NO_LABEL, NO_LABEL, NO_LABEL]]


def test_a_question_sees_the_prefix_and_itself_only() -> None:
    mask = attention_mask(torch.tensor([[0, 0, 1]]), prefix_length=2)[0, 0]
    assert mask.int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]


def test_an_answer_is_right_when_every_token_is() -> None:
    packed = pack(EXAMPLES, prefix_length=10)
    predicted = packed.labels.clone()
    assert answered(predicted, packed, [2, 1]) == [[True, True], [True]]
    predicted[0, 2] = 3
    assert answered(predicted, packed, [2, 1]) == [[False, True], [True]]
