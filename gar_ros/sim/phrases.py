# SPDX-License-Identifier: Apache-2.0
"""Phrases that name things on the table, such as "the small red mug" or "something that is not striped"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gar_ros.sim.phrase_words import (
    ANYTHINGS,
    FOREIGN_ADJECTIVES,
    FOREIGN_NOUNS,
    FOREIGN_PAIRS,
    SYNONYMS,
    THINGS,
    VALUES,
    gibberish,
)
from gar_ros.sim.scene import SceneObject

_SLOT_COUNTS = (0.3, 0.42, 0.2, 0.08)  # share of phrases with 1, 2, 3, 4 attributes
_ATTRIBUTE_WEIGHTS = {"colour": 0.38, "shape": 0.36, "size": 0.13, "finish": 0.13}
_SYNONYM_SHARE = 0.12
_CAPITAL_SHARE = 0.06


@dataclass(frozen=True)
class Slot:
    """One attribute that a phrase asks for. wanted: False for "not red"."""

    attribute: str
    value: str
    wanted: bool = True

    def fits(self, item: SceneObject) -> bool:
        """Whether an object has what is asked for."""
        return (getattr(item, self.attribute) == self.value) == self.wanted


@dataclass(frozen=True)
class NounPhrase:
    """Words for a thing. foreign: a word among them fits nothing on any table."""

    text: str
    slots: tuple[Slot, ...]
    foreign: bool = False

    def fits(self, item: SceneObject) -> bool:
        """Whether the phrase describes an object."""
        return not self.foreign and all(slot.fits(item) for slot in self.slots)


def own_slots(item: SceneObject, rng: np.random.Generator, count: int | None = None) -> tuple[Slot, ...]:
    """Random attributes of an object; `count` of them when given."""
    names = list(_ATTRIBUTE_WEIGHTS)
    wanted = count or 1 + int(rng.choice(len(_SLOT_COUNTS), p=_SLOT_COUNTS))
    chosen = rng.choice(len(names), wanted, replace=False, p=list(_ATTRIBUTE_WEIGHTS.values()))
    return tuple(Slot(names[i], getattr(item, names[i])) for i in sorted(int(i) for i in chosen))


def missing_slots(item: SceneObject, others: Sequence[SceneObject], rng: np.random.Generator) -> tuple[Slot, ...]:
    """Attributes that the object lacks, mostly those of another one in the scene, best one alike in colour or shape."""
    if others and rng.random() < 0.65:
        alike = [other for other in others if other.colour == item.colour or other.shape == item.shape]
        pool = alike if alike and rng.random() < 0.6 else list(others)
        for _ in range(4):
            slots = own_slots(pool[int(rng.integers(len(pool)))], rng)
            if not all(slot.fits(item) for slot in slots):
                return slots
    slots = own_slots(item, rng)
    wrong = int(rng.integers(len(slots)))
    name = slots[wrong].attribute
    values = [value for value in VALUES[name] if value != getattr(item, name)]
    changed = Slot(name, values[int(rng.integers(len(values)))])
    return (*slots[:wrong], changed, *slots[wrong + 1 :])


def word_for(slot: Slot, rng: np.random.Generator) -> str:
    """The value's word or, seldom, another word for it."""
    others = [word for word, meant in SYNONYMS.items() if meant == (slot.attribute, slot.value) and word != "stripes"]
    return others[int(rng.integers(len(others)))] if others and rng.random() < _SYNONYM_SHARE else slot.value


def with_article(words: str, article: str) -> str:
    """Words after "a" (or "an"), "the" or nothing."""
    if article == "a" and words[0] in "aeiou" and words.split()[0] != "one":
        article = "an"
    return f"{article} {words}" if article else words


def noun_phrase(
    slots: Sequence[Slot], rng: np.random.Generator, foreign: bool = False, article: str | None = None
) -> NounPhrase:
    """A phrase for attributes, at most one of them unwanted; with `foreign` a word that fits nothing is among them.

    article: "a", "the" or ""; at random by default.
    """
    chance: Callable[[], float] = rng.random
    wanted = [slot for slot in slots if slot.wanted]
    unwanted = [slot for slot in slots if not slot.wanted]
    shape = [word_for(slot, rng) for slot in wanted if slot.attribute == "shape"]
    rest = [slot for slot in wanted if slot.attribute != "shape"]
    striped = [slot for slot in rest if slot.value == "striped"]
    after: list[str] = []
    if striped and chance() < 0.12:
        rest.remove(striped[0])
        after.append("with stripes")
    adjectives = [word_for(slot, rng) for slot in sorted(rest, key=lambda slot: -(slot.attribute == "size"))]
    if len(adjectives) > 1 and chance() < 0.3:
        adjectives = [str(word) for word in rng.permutation(adjectives)]
    noun = shape[0] if shape else _one_of(THINGS, rng)
    if foreign:
        adjectives, noun = _with_foreign(adjectives, noun, rng)
    if adjectives and chance() < 0.1:
        after.insert(0, f"{_one_of(('that', 'which'), rng)} is {' and '.join(adjectives)}")
        adjectives = []
    after += [_negation(slot, rng) for slot in unwanted]
    article = _one_of(("a", "the", ""), rng) if article is None else article
    if not shape and not foreign and chance() < 0.25:
        start = " ".join([_one_of(ANYTHINGS, rng), *adjectives[:1]]) if len(adjectives) < 2 else ""
        start = start or f"{_one_of(ANYTHINGS, rng)} {' and '.join(adjectives)}"
    elif not shape and not foreign and not after and adjectives and chance() < 0.15:
        start = " ".join(adjectives)
    else:
        start = with_article(" ".join([_joined(adjectives, rng), noun]).strip(), article)
    text = " ".join([start, *after])
    return NounPhrase(text[0].upper() + text[1:] if chance() < _CAPITAL_SHARE else text, tuple(slots), foreign)


def _joined(adjectives: Sequence[str], rng: np.random.Generator) -> str:
    kind = rng.random()
    return (" " if kind < 0.84 else ", " if kind < 0.92 else " and ").join(adjectives)


def _negation(slot: Slot, rng: np.random.Generator) -> str:
    if slot.value == "striped" and rng.random() < 0.3:
        return "without stripes"
    word = word_for(slot, rng)
    words = with_article(word, "a") if slot.attribute == "shape" else word
    return f"{_one_of(('that is', 'that is', 'which is', 'but'), rng)} not {words}"


def _with_foreign(adjectives: list[str], noun: str, rng: np.random.Generator) -> tuple[list[str], str]:
    """The words with a foreign adjective, or a foreign noun in the place of theirs."""
    kind = rng.random()
    if kind < 0.3:
        at = int(rng.integers(len(adjectives) + 1))
        word = _one_of(FOREIGN_ADJECTIVES, rng) if rng.random() < 0.8 else gibberish(rng)
        return [*adjectives[:at], word, *adjectives[at:]], noun
    noun = (
        _one_of(FOREIGN_NOUNS, rng) if kind < 0.75 else _one_of(FOREIGN_PAIRS, rng) if kind < 0.85 else gibberish(rng)
    )
    return adjectives if rng.random() < 0.7 else [], noun


def _one_of(items: Sequence[str], rng: np.random.Generator) -> str:
    return items[int(rng.integers(len(items)))]
