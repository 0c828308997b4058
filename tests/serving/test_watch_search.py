# SPDX-License-Identifier: Apache-2.0
"""What a watch's words find. The engine is the one that the tests of searches by words ask."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

import numpy as np
import pytest

from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.passing_frames import PassingFrames
from gar_ros.serving.watch_search import WatchSearch
from gar_ros.settings import Settings
from tests.serving.test_find import WIDTH, Oracle, Row


class Bench:
    """A search that counts the turns which it leaves to others."""

    def __init__(self) -> None:
        self.engine = Oracle()
        engine = cast(GarEngine, self.engine)
        self._search_for = WatchSearch(engine, PassingFrames(engine, EncodedMemory(engine, 2)), Settings)
        self.turns = 0

    def find(self, words: str, *ids: str, taken: Collection[str] = ()) -> str | None:
        image = np.zeros((2, WIDTH, 3), np.uint8)
        searching = self._search_for(words)(
            Frame(1, "camera", (WIDTH, 2), lambda: image, Row(*ids)), taken, never_cancelled
        )
        while True:
            try:
                next(searching)
            except StopIteration as done:
                found: str | None = done.value
                return found
            self.turns += 1


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_most_probable_region_is_found_with_one_vision_pass(bench: Bench) -> None:
    assert bench.find("red", "ball", "bowl", "box", "mug") == "mug"
    assert bench.engine.passes == [("ball", "bowl", "box", "mug")]
    assert bench.turns == 4


def test_a_relation_is_asked_of_pairs(bench: Bench) -> None:
    assert bench.find("the ball inside the bowl", "bowl", "ball", "box") == "ball"


def test_a_region_that_is_taken_is_not_found_again(bench: Bench) -> None:
    assert bench.find("red", "ball", "mug", taken=("mug",)) == "ball"


@pytest.mark.parametrize("ids", [(), ("box", "bowl"), ("empty",)])
def test_words_that_fit_nothing_find_nothing(bench: Bench, ids: tuple[str, ...]) -> None:
    assert bench.find("red", *ids) is None


def test_words_that_cannot_be_asked_are_refused(bench: Bench) -> None:
    with pytest.raises(GarError) as caught:
        bench.find("<Prompt1>", "ball")
    assert caught.value.code is ErrorCode.INVALID_REQUEST
