# SPDX-License-Identifier: Apache-2.0
"""What the model has computed stays within one limit: what is counted, and what goes first."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from gar_ros.engine.encoded_frame import Answer, Conversation
from gar_ros.engine.kv_cache import KvCache
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.budget import MemoryBudget
from gar_ros.memory.dialogues import DialogueMemory


class Pile:
    """Holds things of these sizes; forgets the first ones."""

    def __init__(self, *sizes: int) -> None:
        self.sizes = list(sizes)

    @property
    def nbytes(self) -> int:
        return sum(self.sizes)

    def forget_one(self) -> bool:
        if len(self.sizes) < 2:
            return False
        del self.sizes[0]
        return True


def test_holders_forget_in_the_order_in_which_they_were_added_and_no_more_than_needed() -> None:
    first, second = Pile(4, 3, 2), Pile(5, 1)
    budget = MemoryBudget(8)
    budget.add(first)
    budget.add(second)
    budget.enforce()
    assert (first.sizes, second.sizes, budget.used) == ([2], [5, 1], 8)


def test_the_newest_of_each_survives_any_limit() -> None:
    piles = [Pile(4, 3), Pile(9)]
    budget = MemoryBudget(1)
    for pile in piles:
        budget.add(pile)
    budget.enforce()
    assert ([pile.sizes for pile in piles], budget.used) == ([[3], [9]], 12)


def test_where_a_gpu_is_full_all_but_the_newest_go_whatever_the_limit_is() -> None:
    piles = [Pile(4, 3, 2), Pile(5, 1)]
    budget = MemoryBudget(1000)
    for pile in piles:
        budget.add(pile)
    budget.forget_most()
    assert ([pile.sizes for pile in piles], budget.used) == ([[2], [1]], 3)


def test_what_fits_stays() -> None:
    pile, budget = Pile(4, 4), MemoryBudget(8)
    budget.add(pile)
    budget.enforce()
    assert (pile.sizes, budget.used) == ([4, 4], 8)


def begin(dialogues: DialogueMemory, floats: int) -> str:
    answer = Answer("yes", ())
    conversation = Conversation(answer, KvCache(floats, {"past_key_values.0.key": np.zeros(floats, np.float32)}))
    record = AnswerRecord(answer, "?", ("a",), (), 1, "camera", 0, 0)
    return dialogues.begin(cast(Any, "frame"), conversation, record, 1).dialogue


def test_a_dialogue_that_had_to_go_says_so_and_the_newest_goes_on() -> None:
    dialogues, budget = DialogueMemory(8, 10.0), MemoryBudget(800)
    budget.add(dialogues)
    names = [begin(dialogues, 100) for _ in range(3)]  # 400 bytes each
    budget.enforce()
    assert (len(dialogues), budget.used) == (2, 800)
    with pytest.raises(GarError, match=r"dropped because the memory .* is full \(memory\.max_memory\)") as caught:
        dialogues.get(names[0])
    assert caught.value.code is ErrorCode.UNKNOWN_DIALOGUE
    largest = begin(dialogues, 1000)
    budget.enforce()
    assert (len(dialogues), budget.used) == (1, 4000)
    assert dialogues.get(largest).conversation.cache.length == 1000
