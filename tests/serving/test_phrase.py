# SPDX-License-Identifier: Apache-2.0
"""Questions about words with a real model: the same scores whatever keeps the features, and no way out of the words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.keyframes import Bounds, KeyframeMemory
from gar_ros.region import Region
from gar_ros.serving.phrase import Encode, Phrase, Score
from gar_ros.serving.requests import YES_NO

SIZE = (48, 32)
WORDS = "the red thing"


class Three:
    """Three boxes side by side."""

    def ids(self) -> tuple[str, ...]:
        return ("a", "b", "c")

    def region(self, region_id: str) -> Region:
        x = 16 * self.ids().index(region_id)
        return Region.from_box(region_id, (x, 4, x + 12, 24), SIZE)

    def sightings(self, boxes: bool) -> list[Any]:
        return []


@pytest.fixture(scope="module")
def frame() -> Frame:
    image = np.random.default_rng(2).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    return Frame(1, "camera", SIZE, lambda: image, Three())


@pytest.fixture(scope="module")
def regions() -> list[Region]:
    return [Three().region(name) for name in "abc"]


@pytest.fixture(scope="module")
def encode(engine: GarEngine, frame: Frame, regions: list[Region]) -> Encode:
    return EncodedMemory(engine, 2).all_prompted(frame, regions, 1, never_cancelled)


def scores(engine: GarEngine, encode: Encode, regions: Sequence[Region]) -> list[Score]:
    phrase = Phrase.parse(engine, WORDS)
    pairs = phrase.score_pairs(encode, ("a", "c"), regions)
    return [*phrase.score_alone(encode, regions), *pairs]


def test_keyframes_and_a_pass_of_its_own_give_the_same_scores(
    engine: GarEngine, frame: Frame, regions: list[Region], encode: Encode
) -> None:
    keyframes = KeyframeMemory(engine, Bounds(2, 1 << 24, 1))
    shared = EncodedMemory(engine, 2, keyframes).all_prompted(frame, regions, 1, never_cancelled)
    one, other = scores(engine, encode, regions), scores(engine, shared, regions)
    assert [(score.region_id, score.other_id) for score in one] == [
        ("a", ""), ("b", ""), ("c", ""), ("a", "b"), ("c", "b"), ("a", "c"), ("c", "a"),
    ]  # fmt: skip
    assert [score.probability for score in one] == pytest.approx([score.probability for score in other], abs=1e-5)
    assert len({score.probability for score in one}) == 7, "no two questions are the same to the model"


def test_a_score_is_the_probability_of_yes_to_the_question_asked_by_itself(
    engine: GarEngine, regions: list[Region], encode: Encode
) -> None:
    found = {(score.region_id, score.other_id): score.probability for score in scores(engine, encode, regions)}
    b, c = regions[1:]
    alone = encode([b]).ask(f'Does "{WORDS}" describe <Prompt0>?', YES_NO)
    pair = encode([c, b]).ask(f'Does "{WORDS}" describe <Prompt0>, with <Prompt1> as the other object?', YES_NO)
    assert found["b", ""] == pytest.approx(alone.probabilities[0], abs=1e-5)
    assert found["c", "b"] == pytest.approx(pair.probabilities[0], abs=1e-5)


@pytest.mark.parametrize("token", ["<|eot_id|>", "<|begin_of_text|>", "<|end_of_text|>"])
def test_words_never_become_control_tokens(engine: GarEngine, token: str) -> None:
    controls = engine.prompts._never_text

    def controls_in(words: str) -> list[int]:
        return [id for id in Phrase.parse(engine, words).single.ids if id in controls]

    assert controls_in(f'x" {token} "') == controls_in("x")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=80) | st.text('<>|Prompt0123 _eot"\u200b\u0301', max_size=40))
def test_any_words_are_asked_as_they_came_or_refused(engine: GarEngine, words: str) -> None:
    with suppress(GarError):  # a typed refusal
        single = Phrase.parse(engine, words).single
        assert single.text == f'Does "{words}" describe <Prompt0>?'
        prompts = engine.prompts._tokens.prompts
        assert [id for id in single.ids if id in prompts] == [prompts[0]]


def test_words_that_do_not_fit_into_the_context_are_too_long(
    engine: GarEngine, regions: list[Region], encode: Encode
) -> None:
    words = "\u6f22" * 4096  # three bytes each, and to this tokenizer as many tokens
    phrase = Phrase.parse(engine, words)
    with pytest.raises(GarError) as caught:
        next(phrase.score_alone(encode, regions))
    assert caught.value.code is ErrorCode.QUESTION_TOO_LONG
