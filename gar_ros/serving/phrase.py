# SPDX-License-Identifier: Apache-2.0
"""Asks the model whether some words describe a region. The words go into its questions as they came."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from gar_ros.engine.cancel import CancelCheck, never_cancelled
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt import Question
from gar_ros.engine.prompt_spelling import REFERENCE
from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.scene_graph import nearest_pairs, shared_prompts
from gar_ros.region import Region
from gar_ros.serving.requests import MAX_CHARACTERS, YES_NO

ONE_TWO = ("one", "two")

Encode = Callable[[Sequence[Region]], EncodedFrame]
"""Called with regions of an image; returns the image encoded with them, <PromptN> being the N-th."""


@dataclass(frozen=True)
class Score:
    """How well the words fit a region. probability: that they describe it, 0..1. other_id: the other object of a pair,
    empty where the region was asked about alone."""

    region_id: str
    probability: float
    other_id: str = ""


@dataclass(frozen=True)
class Phrase:
    """The questions about some words, each parsed once.

    count: whether the words name one object or two; it is asked with one region, which it doesn't name. single: whether
    they describe the only region. pair: whether they describe the first of two regions, the second being the other
    object; `reversed_pair` the other way round.
    """

    count: Question
    single: Question
    pair: Question
    reversed_pair: Question

    @classmethod
    def parse(cls, engine: GarEngine, words: str) -> Phrase:
        """Raises GarError INVALID_REQUEST, QUESTION_TOO_LONG for words that can't be asked about."""
        check_words(words)
        return cls(
            count=engine.parse(f'Does "{words}" name one object or two?', ONE_TWO, 1),
            single=engine.parse(f'Does "{words}" describe <Prompt0>?', YES_NO, 1),
            pair=engine.parse(_pair_question(words, 0, 1), YES_NO, 2),
            reversed_pair=engine.parse(_pair_question(words, 1, 0), YES_NO, 2),
        )

    def names_two(self, frame: EncodedFrame, raise_if_cancelled: CancelCheck = never_cancelled) -> bool:
        """Whether the words name two objects, such as "the ball inside the bowl". frame: an image with one region."""
        return frame.ask(self.count, raise_if_cancelled=raise_if_cancelled).choice == 1

    def score_alone(
        self, encode: Encode, candidates: Sequence[Region], raise_if_cancelled: CancelCheck = never_cancelled
    ) -> Iterator[Score]:
        """Yields the score of each candidate. Raises what `encode` and `EncodedFrame.ask` raise."""
        for region in candidates:
            answer = encode([region]).ask(self.single, raise_if_cancelled=raise_if_cancelled)
            yield Score(region.id, answer.probabilities[0])

    def score_pairs(
        self,
        encode: Encode,
        candidates: Collection[str],
        regions: Sequence[Region],
        raise_if_cancelled: CancelCheck = never_cancelled,
    ) -> Iterator[Score]:
        """Yields the score of each pair of a candidate and another region, nearest pairs in the image first.

        candidates: ids of some of the image's `regions`. Raises as `score_alone` does.
        """
        by_id = {region.id: region for region in regions}
        nearest = nearest_pairs({region.id: region.box for region in regions}, count_pairs(regions, regions))
        pairs = [pair for pair in nearest if pair[0] in candidates]
        for group in shared_prompts(pairs, 2):  # both orders of a pair share a prefix
            frame = encode([by_id[region_id] for region_id in group.region_ids])
            for region_id, other_id in group.pairs:
                question = self.pair if region_id == group.region_ids[0] else self.reversed_pair
                answer = frame.ask(question, raise_if_cancelled=raise_if_cancelled)
                yield Score(region_id, answer.probabilities[0], other_id)


def count_pairs(candidates: Sequence[object], regions: Sequence[object]) -> int:
    """The number of ordered pairs of a candidate and another region, where all candidates are among the regions."""
    return len(candidates) * max(len(regions) - 1, 0)


def check_words(words: str) -> None:
    """Raises GarError QUESTION_TOO_LONG for too many words, INVALID_REQUEST for none and for those that name a
    <PromptN>: which region that is would differ from question to question."""
    if len(words) > MAX_CHARACTERS:
        raise GarError(
            ErrorCode.QUESTION_TOO_LONG, f"expected words of at most {MAX_CHARACTERS} characters, got {len(words)}"
        )
    if not any(unicodedata.category(character)[0] in "LNS" for character in words):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected words that say what to find, such as 'the red mug', got {words[:60]!a}",
        )
    if named := REFERENCE.search(words):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected words that name no region, got {named[0]}: give the ids of candidates in region_ids",
        )


def _pair_question(words: str, candidate: int, other: int) -> str:
    return f'Does "{words}" describe <Prompt{candidate}>, with <Prompt{other}> as the other object?'
