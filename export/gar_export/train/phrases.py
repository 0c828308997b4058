# SPDX-License-Identifier: Apache-2.0
"""What the words of a phrase in a question ask for, so that losses can say it to the decoder's states.

Only training reads phrases; at run time the model gets the words as they come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from gar_export.train.scenes import ATTRIBUTES
from gar_ros.sim.phrase_kinds import PHRASE_KINDS
from gar_ros.sim.phrase_words import ANYTHINGS, RELATION_WORDS, THINGS, VALUE_WORDS

NAMES = tuple(ATTRIBUTES)
CLASSES_WANTED = tuple(2 * len(words) + 1 for words in ATTRIBUTES.values())
"""Of each attribute: nothing asked, one of the values, not one of the values."""

RELATIONS = tuple(RELATION_WORDS)
NO_RELATION = -1

_QUOTED = re.compile(r'^Does "(.+)" (?:describe|name)')
_WORD = re.compile(r"[A-Za-z0-9]+")
_PROMPT = re.compile(r"<Prompt\d+>")
_RELATION = re.compile(
    r"\b("
    + "|".join(sorted((word for words in RELATION_WORDS.values() for word in words), key=len, reverse=True))
    + r")\b"
)
_RELATION_OF = {word: RELATIONS.index(name) for name, words in RELATION_WORDS.items() for word in words}
_GRAMMAR = {"a", "an", "the", "that", "which", "is", "not", "but", "and", "with", "without", "it", "of", "to", "no"}
_KNOWN = {*_GRAMMAR, *VALUE_WORDS, *THINGS, *ANYTHINGS} | {
    part for words in RELATION_WORDS.values() for word in words for part in word.split()
}
_NEGATIONS = ("not", "without", "no")


@dataclass(frozen=True)
class ValueWord:
    """A word for an attribute's value. end: characters up to its end in the question. part: 0 before a relation, 1
    after it. after_name: whether a region's name stands before it."""

    end: int
    attribute: int
    value: int
    negated: bool
    part: int
    after_name: bool


@dataclass(frozen=True)
class Wanted:
    """What a part of a phrase asks for: a class of CLASSES_WANTED for each attribute; foreign: a word fits nothing."""

    classes: tuple[int, ...]
    foreign: bool


@dataclass(frozen=True)
class Reading:
    """A question's words. wanted: of the first part and the second, () when the phrase doesn't stand before names.
    relation: what is between the parts, one of RELATIONS, or that many more for "not", NO_RELATION without."""

    words: tuple[ValueWord, ...]
    wanted: tuple[Wanted, ...]
    relation: int = NO_RELATION


NOTHING = Reading((), ())


@lru_cache(maxsize=200_000)
def reading(kind: str, text: str) -> Reading:
    """What the words of a question of `PHRASE_KINDS` ask for, NOTHING for other kinds."""
    if kind not in PHRASE_KINDS:
        return NOTHING
    quoted = _QUOTED.match(text)
    start, end = quoted.span(1) if quoted else (0, len(text))
    name = _PROMPT.search(text)
    first_name = name.start() if name else len(text)
    relation = _RELATION.search(text, start, end) if quoted else None
    split = relation.start() if relation else end
    words, foreign, negated, between = [], [False, False], False, NO_RELATION
    for found in _WORD.finditer(text, start, end):
        word, part = found[0].lower(), int(found.start() >= split)
        if word not in _KNOWN:
            foreign[part] = True
        if word in _NEGATIONS:
            negated = True
        elif word in VALUE_WORDS:
            attribute, value = VALUE_WORDS[word]
            index = NAMES.index(attribute)
            words.append(
                ValueWord(
                    found.end(), index, ATTRIBUTES[attribute].index(value), negated, part, found.start() > first_name
                )
            )
            negated = False
        elif relation and found.start() == relation.start():
            between = _RELATION_OF[relation[1]] + len(RELATIONS) * negated
            negated = False
    wanted: tuple[Wanted, ...] = ()
    if quoted and name:
        wanted = tuple(_wanted([word for word in words if word.part == part], foreign[part]) for part in (0, 1))
    return Reading(tuple(words), wanted, between)


def _wanted(words: list[ValueWord], foreign: bool) -> Wanted:
    classes = [0] * len(NAMES)
    for word in words:
        values = (CLASSES_WANTED[word.attribute] - 1) // 2
        classes[word.attribute] = 1 + word.value + values * word.negated
    return Wanted(tuple(classes), foreign)
