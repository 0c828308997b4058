# SPDX-License-Identifier: Apache-2.0
"""Questions with phrases ("Does "a red mug" describe <Prompt0>?"), negations and other wordings, one function a kind.

They are kept apart from `question_kinds`: only who names them asks them, so the draws of the other kinds stay as they
are. Answers are balanced as there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from gar_ros.sim.contact import NO, UNCLEAR, YES
from gar_ros.sim.phrase_words import RELATION_WORDS, VALUES
from gar_ros.sim.phrases import NounPhrase, Slot, missing_slots, noun_phrase, own_slots, with_article
from gar_ros.sim.question_draft import Draft, Kind, Maker, Regions, prompt_name, yes_or_no
from gar_ros.sim.scene import SceneObject
from gar_ros.sim.truth import SceneTruth

SINGLE = 'Does "{}" describe {}?'
PAIR = 'Does "{}" describe {}, with {} as the other object?'
COUNT = 'Does "{}" name one object or two?'
COUNTS = ("one", "two")

_NEXT, _APART = 0.02, 0.09  # metres between the outlines of what is and what isn't next to each other
_SEEN = 0.3  # least visible fraction of what is inside or on top of something, for a clear answer
_VESSELS = ("mug", "bowl")
_CONTACT = ("inside", "holding", "on_top", "under", "touching", "next_to")
_PLACE = ("left_of", "right_of", "in_front", "behind")

PHRASE_KINDS: dict[str, Kind] = {}


def _register(name: str, regions: int) -> Callable[[Maker], Maker]:
    def keep(make: Maker) -> Maker:
        PHRASE_KINDS[name] = Kind(name, regions, make)
        return make

    return keep


def related(truth: SceneTruth, relation: str, first: int, second: int) -> int:
    """Whether a relation of phrases (a key of `RELATION_WORDS`) holds from an object to another: YES, NO, UNCLEAR."""
    turned = {"holding": "inside", "under": "on_top", "right_of": "left_of", "behind": "in_front"}
    if relation == "next_to":
        return _next_to(truth, first, second)
    if relation in turned:
        return int(truth.relations[turned[relation]][second, first])
    return int(truth.relations[relation][first, second])


def _next_to(truth: SceneTruth, first: int, second: int) -> int:
    pairs = ((first, second), (second, first))
    if any(truth.relations[name][pair] != NO for name in ("on_top", "inside") for pair in pairs):
        return UNCLEAR
    one, other = truth.scene.objects[first], truth.scene.objects[second]
    apart = float(np.linalg.norm(np.subtract(one.position[:2], other.position[:2])))
    radii = [float(np.mean(item.dimensions[:2])) / 2 for item in (one, other)]
    if truth.relations["touching"][first, second] == YES or apart - sum(radii) <= _NEXT:
        return YES
    return NO if apart - sum(radii) >= _APART else UNCLEAR


def _item(regions: Regions, prompt: int) -> SceneObject:
    return regions.truth.scene.objects[regions.objects[prompt]]


def _others(regions: Regions, prompt: int) -> list[SceneObject]:
    chosen = regions.objects[prompt]
    return [item for index, item in enumerate(regions.truth.scene.objects) if index != chosen]


def _phrase(regions: Regions, prompt: int, truth: bool, article: str | None = None) -> NounPhrase:
    """A phrase that describes a region, or one that nearly does."""
    item, rng = _item(regions, prompt), regions.rng
    slots = own_slots(item, rng) if truth else missing_slots(item, _others(regions, prompt), rng)
    return noun_phrase(slots, rng, article=article)


def _negated(regions: Regions, prompt: int, truth: bool, article: str | None = None) -> NounPhrase:
    """A phrase with "not" that describes a region, or one that nearly does."""
    item, rng = _item(regions, prompt), regions.rng
    name = str(rng.choice(("colour", "shape", "size", "finish"), p=(0.45, 0.3, 0.1, 0.15)))
    value = getattr(item, name)
    other = regions.one_of([one for one in VALUES[name] if one != value])
    alone = rng.random() < 0.35
    if truth or alone or rng.random() < 0.6:
        base = () if alone else own_slots(item, rng, 1 + int(rng.random() < 0.25))
        unwanted = Slot(name, other if truth else value, wanted=False)
    else:
        base = missing_slots(item, _others(regions, prompt), rng)
        unwanted = Slot(name, other, wanted=False)
    kept = tuple(slot for slot in base if slot.attribute != name)
    return noun_phrase((*kept, unwanted), rng, article=article)


def _single(kind: str, make_phrase: Callable[[Regions, int, bool], NounPhrase]) -> None:
    @_register(kind, 1)
    def make(regions: Regions) -> Draft | None:
        chosen = regions.some(1)
        if chosen is None:
            return None
        phrase = make_phrase(regions, chosen[0], regions.rng.random() < 0.5)
        text = SINGLE.format(phrase.text, prompt_name(chosen[0]))
        return yes_or_no(text, phrase.fits(_item(regions, chosen[0])))


def _maybe_foreign(regions: Regions, prompt: int, truth: bool) -> NounPhrase:
    """A phrase with a word that fits nothing, unless `truth`."""
    slots = own_slots(_item(regions, prompt), regions.rng)
    return noun_phrase(slots, regions.rng, foreign=not truth)


_single("describes", _phrase)
_single("describes_not", _negated)
_single("describes_foreign", _maybe_foreign)


@_register("is_phrase", 1)
def _is_phrase(regions: Regions) -> Draft | None:
    chosen = regions.some(1)
    if chosen is None:
        return None
    article = "the" if regions.rng.random() < 0.15 else "a"
    phrase = _phrase(regions, chosen[0], regions.rng.random() < 0.5, article)
    return yes_or_no(f"Is {prompt_name(chosen[0])} {phrase.text.lower()}?", phrase.fits(_item(regions, chosen[0])))


@_register("is_not", 1)
def _is_not(regions: Regions) -> Draft | None:
    chosen, rng = regions.some(1), regions.rng
    if chosen is None:
        return None
    truth, item = rng.random() < 0.5, _item(regions, chosen[0])
    if rng.random() < 0.5:
        phrase = _negated(regions, chosen[0], truth, "a")
        return yes_or_no(f"Is {prompt_name(chosen[0])} {phrase.text.lower()}?", phrase.fits(item))
    name = regions.one_of(tuple(VALUES))
    own = getattr(item, name)
    value = regions.one_of([one for one in VALUES[name] if one != own]) if truth else own
    words = with_article(value, "a") if name == "shape" else value
    return yes_or_no(f"Is {prompt_name(chosen[0])} not {words}?", truth)


_ASKED_OTHERWISE = {
    "colour": (
        "What is the colour of {}?",
        "Which colour is {}?",
        "Which colour does {} have?",
        "Tell me the colour of {}.",
        "What color is {}?",
        "Name the colour of {}.",
    ),
    "shape": (
        "What is the shape of {}?",
        "Which shape is {}?",
        "Which shape does {} have?",
        "Tell me the shape of {}.",
        "What kind of object is {}?",
        "Name the shape of {}.",
    ),
    "size": ("What size is {}?", "Is {} large or small?", "How large is {}?", "What is the size of {}?"),
    "finish": ("Is {} striped or plain?", "What is the finish of {}?", "Which finish does {} have?"),
}
_CLAIMED_OTHERWISE = {
    "colour": ("Is the colour of {} {}?", "Does {} have the colour {}?", "Is {} coloured {}?"),
    "shape": ("Is the shape of {} a {}?", "Does {} have the shape of a {}?", "Is {} some kind of {}?"),
    "size": ("Is the size of {} {}?", "Is {} of {} size?"),
    "finish": ("Is the finish of {} {}?",),
}


@_register("asked_otherwise", 1)
def _asked_otherwise(regions: Regions) -> Draft | None:
    chosen = regions.some(1)
    if chosen is None:
        return None
    name = regions.one_of(tuple(VALUES))
    text = regions.one_of(_ASKED_OTHERWISE[name]).format(prompt_name(chosen[0]))
    return Draft(text, VALUES[name], regions.attribute(name, chosen[0]))


@_register("claimed_otherwise", 1)
def _claimed_otherwise(regions: Regions) -> Draft | None:
    chosen, rng = regions.some(1), regions.rng
    if chosen is None:
        return None
    name, truth, named = regions.one_of(tuple(VALUES)), rng.random() < 0.5, prompt_name(chosen[0])
    own = regions.attribute(name, chosen[0])
    if name == "finish" and rng.random() < 0.6:
        form = "Does {} have stripes?" if rng.random() < 0.7 else "Are there stripes on {}?"
        return yes_or_no(form.format(named), own == "striped")
    value = own if truth else regions.one_of([one for one in VALUES[name] if one != own])
    return yes_or_no(regions.one_of(_CLAIMED_OTHERWISE[name]).format(named, value), truth)


_RELATED_OTHERWISE = {
    "inside": ("Is {} in {}?", "Is {} within {}?"),
    "holding": ("Does {} contain {}?", "Does {} hold {}?", "Is {} around {}?"),
    "on_top": ("Is {} on {}?", "Does {} stand on {}?"),
    "under": ("Is {} under {}?", "Is {} below {}?"),
    "left_of": ("Is {} left of {}?", "Is {} further left than {}?"),
    "right_of": ("Is {} right of {}?", "Is {} further right than {}?"),
    "touching": ("Does {} touch {}?",),
    "next_to": ("Is {} next to {}?", "Is {} beside {}?"),
}


@_register("related_otherwise", 2)
def _related_otherwise(regions: Regions) -> Draft | None:
    wanted = regions.rng.random() < 0.5
    found = _some_relation(regions, tuple(_RELATED_OTHERWISE), YES if wanted else NO)
    if found is None:
        return None
    relation, pair = found
    return yes_or_no(regions.one_of(_RELATED_OTHERWISE[relation]).format(*map(prompt_name, pair)), wanted)


def _some_relation(regions: Regions, relations: tuple[str, ...], value: int) -> tuple[str, tuple[int, int]] | None:
    """A relation that has a value between two regions, and these; contact is sought first as often as places."""
    rng, pairs = regions.rng, list(itertools.permutations(regions.all(), 2))
    contact = rng.random() < (0.6 if value == YES else 0.45)
    order = [str(name) for name in rng.permutation([name for name in relations if (name in _CONTACT) == contact])]
    order += [str(name) for name in rng.permutation([name for name in relations if name not in order])]
    if value == NO:  # contacts that hold somewhere in the picture are asked about more often than those that don't
        order.sort(key=lambda name: name in _CONTACT and not _holds(regions, name) and rng.random() < 0.6)
    for relation in order:
        fitting = [
            pair for pair in pairs if related(regions.truth, relation, *(regions.objects[i] for i in pair)) == value
        ]
        if fitting:
            turned = [pair for pair in fitting if _value(regions, relation, pair[::-1]) == YES]
            pool = turned if value == NO and turned and rng.random() < 0.5 else fitting
            return relation, pool[int(rng.integers(len(pool)))]
    return None


def _holds(regions: Regions, relation: str) -> bool:
    return any(_value(regions, relation, pair) == YES for pair in itertools.permutations(regions.all(), 2))


def _value(regions: Regions, relation: str, pair: tuple[int, ...]) -> int:
    return related(regions.truth, relation, regions.objects[pair[0]], regions.objects[pair[1]])


def relation_phrase(
    first: NounPhrase, relation: str, second: NounPhrase, rng: np.random.Generator, no: bool = False
) -> str:
    """The words of two things and what is between them. no: that it isn't."""
    words = RELATION_WORDS[relation]
    word = words[0] if rng.random() < 0.5 else words[int(rng.integers(len(words)))]
    link = "not " if no else ""
    if no or rng.random() < 0.25:
        link = f"{'that' if rng.random() < 0.6 else 'which'} is {link}"
    rest = second.text[0].lower() + second.text[1:]
    return f"{first.text} {link}{word} {rest}"


@_register("describes_pair", 2)
def _describes_pair(regions: Regions) -> Draft | None:
    rng = regions.rng
    how = str(
        rng.choice(("yes", "turned", "unrelated", "first", "second", "foreign"), p=(0.5, 0.1, 0.17, 0.1, 0.1, 0.03))
    )
    negated = rng.random() < 0.08
    related_value = (NO if negated else YES) if how != "unrelated" else (YES if negated else NO)
    found = _some_relation(regions, tuple(RELATION_WORDS), related_value)
    if found is None:
        return None
    relation, pair = found
    foreign = int(rng.integers(2)) if how == "foreign" else -1
    phrases = []
    for number, prompt in enumerate(pair):
        if number == foreign:
            phrases.append(noun_phrase(own_slots(_item(regions, prompt), rng), rng, foreign=True))
        else:
            fits = how != ("first", "second")[number]
            phrases.append(_phrase(regions, prompt, fits, None if rng.random() < 0.4 else "the"))
    text = relation_phrase(phrases[0], relation, phrases[1], rng, negated)
    asked = pair[::-1] if how == "turned" else pair
    fits = all(phrase.fits(_item(regions, prompt)) for phrase, prompt in zip(phrases, asked, strict=True))
    holds = _value(regions, relation, asked)
    if fits and holds == UNCLEAR:
        return None
    return yes_or_no(PAIR.format(text, *map(prompt_name, asked)), fits and (holds == NO if negated else holds == YES))


@_register("one_or_two", 1)
def _one_or_two(regions: Regions) -> Draft | None:
    """Whether words name one thing or two; the picture doesn't matter."""
    rng, objects = regions.rng, regions.truth.scene.objects

    def some() -> NounPhrase:
        item = objects[int(rng.integers(len(objects)))]
        if rng.random() < 0.12:
            return _negated(Regions(regions.truth, (objects.index(item),), rng), 0, True)
        return noun_phrase(own_slots(item, rng), rng, foreign=bool(rng.random() < 0.25))

    if rng.random() < 0.5:
        return Draft(COUNT.format(some().text), COUNTS, "one")
    relation = regions.one_of(tuple(RELATION_WORDS))
    text = relation_phrase(some(), relation, some(), rng, no=bool(rng.random() < 0.1))
    return Draft(COUNT.format(text), COUNTS, "two")


def _content(kind: str, relation: str, texts: tuple[str, ...], yes_means_none: bool = False) -> None:
    """Registers the question whether anything, seen well enough, is inside or on top of a region."""

    @_register(kind, 1)
    def make(regions: Regions) -> Draft | None:
        rng, wanted = regions.rng, regions.rng.random() < 0.5
        usable = {}
        for prompt in regions.all():
            value = _has(regions.truth, relation, regions.objects[prompt])
            if value != UNCLEAR:
                usable[prompt] = (value == NO) if yes_means_none else (value == YES)
        some = [prompt for prompt, truth in usable.items() if truth == wanted]
        vessels = [prompt for prompt in some if regions.attribute("shape", prompt) in _VESSELS]
        if kind == "empty":
            some = vessels
        if not some:
            return None
        prompt = some[int(rng.integers(len(some)))]
        rare = wanted != yes_means_none  # that there is something
        if not rare and rng.random() >= _no_rate(kind, regions.attribute("shape", prompt)):
            return None
        return yes_or_no(regions.one_of(texts).format(prompt_name(prompt)), wanted)


def _no_rate(kind: str, shape: str) -> float:
    return {"empty": 0.35, "anything_inside": 0.35 if shape in _VESSELS else 0.03, "anything_on_top": 0.28}[kind]


def _has(truth: SceneTruth, relation: str, base: int) -> int:
    """Whether anything is inside or on top of an object: YES, NO or UNCLEAR, also for what can hardly be seen."""
    values = truth.relations[relation][:, base].copy()
    values[base] = NO
    there = np.flatnonzero(values != NO)
    if not len(there):
        return NO
    clear = [index for index in there if values[index] == YES and truth.visible[index] >= _SEEN]
    return YES if clear else UNCLEAR


_content("empty", "inside", ("Is {} empty?", "Is {} empty?", "Is there nothing inside {}?"), yes_means_none=True)
_content(
    "anything_inside",
    "inside",
    ("Is anything inside {}?", "Is there anything inside {}?", "Is something in {}?", "Does {} contain anything?"),
)
_content(
    "anything_on_top",
    "on_top",
    ("Is anything on top of {}?", "Is there anything on top of {}?", "Is something on {}?"),
)
