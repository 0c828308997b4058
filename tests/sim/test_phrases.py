# SPDX-License-Identifier: Apache-2.0
"""Phrases for things on the table: their words, and what they fit."""

from __future__ import annotations

import re

import numpy as np

from gar_ros.sim.phrase_words import (
    FOREIGN_ADJECTIVES,
    FOREIGN_NOUNS,
    FOREIGN_PAIRS,
    RELATION_WORDS,
    VALUE_WORDS,
    gibberish,
)
from gar_ros.sim.phrases import NounPhrase, Slot, missing_slots, noun_phrase, own_slots
from tests.sim.tabletop import thing

RED, MUG, STRIPED = Slot("colour", "red"), Slot("shape", "mug"), Slot("finish", "striped")
NOT_RED, NOT_STRIPED = Slot("colour", "red", wanted=False), Slot("finish", "striped", wanted=False)


def texts(*slots: Slot, foreign: bool = False, article: str | None = None) -> set[str]:
    return {noun_phrase(slots, np.random.default_rng(seed), foreign, article).text for seed in range(400)}


def meant(text: str) -> set[tuple[str, str]]:
    return {VALUE_WORDS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in VALUE_WORDS}


def test_a_phrase_fits_what_has_all_it_asks_for() -> None:
    mug = thing("mug", 0.0, 0.0, colour="red")
    assert NounPhrase("a red mug", (RED, MUG)).fits(mug)
    assert not NounPhrase("a striped red mug", (RED, MUG, STRIPED)).fits(mug)
    assert not NounPhrase("a mug that is not red", (MUG, NOT_RED)).fits(mug)
    assert NounPhrase("a red thing without stripes", (RED, NOT_STRIPED)).fits(mug)
    assert not NounPhrase("a red giraffe", (RED,), foreign=True).fits(mug)


def test_words_say_what_the_slots_ask_and_nothing_else() -> None:
    assert {"a red mug", "the red mug", "red mug", "red cup", "a mug that is red"} <= texts(RED, MUG)
    assert all(meant(text) == {("colour", "red"), ("shape", "mug")} for text in texts(RED, MUG))
    assert {"something red", "the red one", "red", "a red thing"} <= texts(RED)
    assert {"a striped red mug", "red mug with stripes"} <= texts(RED, MUG, STRIPED)


def test_what_is_not_wanted_stands_after_not() -> None:
    found = texts(MUG, NOT_RED)
    assert {"the mug that is not red", "a mug which is not red", "mug but not red"} <= found
    assert all(re.search(r"[Mm]ug|[Cc]up", text) and text.endswith("not red") for text in found)
    assert "something that is not a mug" in texts(Slot("shape", "mug", wanted=False))
    assert "a thing without stripes" in texts(NOT_STRIPED)


def test_articles_are_those_of_english() -> None:
    orange = texts(Slot("colour", "orange"), article="a")
    assert "an orange thing" in orange and not any(text.startswith("a orange") for text in orange)
    assert not any(text.startswith("an one") for text in texts(STRIPED, article="a"))


def test_foreign_words_mean_nothing_on_the_table() -> None:
    rng = np.random.default_rng(0)
    foreign = {*FOREIGN_NOUNS, *FOREIGN_ADJECTIVES, *(word for pair in FOREIGN_PAIRS for word in pair.split())}
    relations = {word for words in RELATION_WORDS.values() for word in words}
    assert not foreign & (set(VALUE_WORDS) | relations)
    assert all(3 <= len(gibberish(rng)) <= 9 for _ in range(50))
    assert {"red giraffe", "shiny red mug"} & texts(RED, MUG, foreign=True) or any(
        word in foreign for text in texts(RED, MUG, foreign=True) for word in text.split()
    )


def test_own_slots_fit_and_missing_ones_do_not() -> None:
    item, others = thing("mug", 0.0, 0.0), [thing("mug", 0.2, 0.0, colour="blue"), thing("box", -0.2, 0.0)]
    rng = np.random.default_rng(0)
    for _ in range(100):
        assert all(slot.fits(item) for slot in own_slots(item, rng))
        assert not all(slot.fits(item) for slot in missing_slots(item, others, rng))
    assert len(own_slots(item, rng, count=3)) == 3
