"""One small function a kind of question. Each gets the regions of a picture and returns a draft, or None when the kind has
nothing clear to ask about them. Answers are balanced: without the picture none is likelier than another.

In a question <PromptN> is the region with prompt number N; the functions below work with these numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gar_ros.sim.contact import NO, YES
from gar_ros.sim.scene import COLOURS, FINISHES, SHAPES, SIZES
from gar_ros.sim.truth import SceneTruth

YES_NO = ("yes", "no")
LETTERS = "ABCD"

_VALUES = {"colour": COLOURS, "shape": SHAPES, "size": SIZES, "finish": FINISHES}

# Share of region sets of 2, 3, 4, 5 regions from `pick_regions` in which the relation holds between some of them. Where it does
# not hold, "no" is asked only so often that over many scenes yes and no are equally frequent (a test measures it).
_SHARE_WITH_YES = {
    "on_top": (0.16, 0.20, 0.28, 0.37),
    "inside": (0.11, 0.15, 0.20, 0.26),
    "touching": (0.45, 0.64, 0.78, 0.89),
    "same_colour": (0.32, 0.56, 0.79, 0.90),
    "same_shape": (0.29, 0.57, 0.80, 0.94),
    "between": (0.0, 0.21, 0.53, 0.80),
}


@dataclass(frozen=True)
class Draft:
    """A question and its answer. choices: () when it is open."""

    text: str
    choices: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Regions:
    """What a question is drawn from. objects: index of the object of each prompt number."""

    truth: SceneTruth
    objects: tuple[int, ...]
    rng: np.random.Generator

    def some(self, count: int) -> list[int] | None:
        """`count` different prompt numbers that can be asked about, in random order."""
        seen = [prompt for prompt, index in enumerate(self.objects) if self.truth.askable[index]]
        return [int(prompt) for prompt in self.rng.permutation(seen)[:count]] if len(seen) >= count else None

    def several(self, fewest: int) -> list[int] | None:
        """A random number of prompt numbers, at least `fewest`."""
        return self.some(int(self.rng.integers(fewest, max(fewest, len(self.objects)) + 1)))

    def attribute(self, name: str, prompt: int) -> str:
        """colour, shape, size or finish of a region's object."""
        value: str = getattr(self.truth.scene.objects[self.objects[prompt]], name)
        return value

    def related(self, relation: str, one: int, two: int) -> int:
        """YES, NO or UNCLEAR."""
        return int(self.truth.relations[relation][self.objects[one], self.objects[two]])

    def one_of(self, items: Sequence[str]) -> str:
        """A random item."""
        return items[int(self.rng.integers(len(items)))]


Maker = Callable[[Regions], "Draft | None"]


@dataclass(frozen=True)
class Kind:
    """A kind of question. regions: how many it needs at least.

    once: it declines at random to keep yes and no in balance, so asking it again about the same regions would undo that.
    """

    name: str
    regions: int
    make: Maker

    @property
    def once(self) -> bool:
        return self.name in _SHARE_WITH_YES


KINDS: dict[str, Kind] = {}


def _register(name: str, regions: int) -> Callable[[Maker], Maker]:
    def keep(make: Maker) -> Maker:
        KINDS[name] = Kind(name, regions, make)
        return make

    return keep


def prompt_name(number: int) -> str:
    """<PromptN>."""
    return f"<Prompt{number}>"


def _listing(prompts: Sequence[int]) -> str:
    """<Prompt0>, <Prompt1> or <Prompt2>."""
    names = [prompt_name(prompt) for prompt in prompts]
    return ", ".join(names[:-1]) + " or " + names[-1]


def _which(text: str, prompts: Sequence[int], answer: int) -> Draft:
    """A question whose choices are the regions named at its end."""
    return Draft(f"{text}, {_listing(prompts)}?", tuple(map(prompt_name, prompts)), prompt_name(answer))


def _attribute(name: str, text: str) -> None:
    @_register(name, 1)
    def make(regions: Regions) -> Draft | None:
        chosen = regions.some(1)
        if chosen is None:
            return None
        return Draft(text.format(prompt_name(chosen[0])), _VALUES[name], regions.attribute(name, chosen[0]))


_attribute("colour", "What colour is {}?")
_attribute("shape", "What shape is {}?")
_attribute("size", "Is {} small or large?")
_attribute("finish", "Is {} plain or striped?")


@_register("caption", 1)
def _caption(regions: Regions) -> Draft | None:
    chosen = regions.some(1)
    if chosen is None:
        return None
    words = [regions.attribute(name, chosen[0]) for name in ("size", "colour", "finish", "shape")]
    return Draft(f"Describe {prompt_name(chosen[0])}.", (), "a " + " ".join(words))


def _is_attribute(kind: str, name: str, text: str) -> None:
    @_register(kind, 1)
    def make(regions: Regions) -> Draft | None:
        chosen = regions.some(1)
        if chosen is None:
            return None
        value, truth = regions.attribute(name, chosen[0]), regions.rng.random() < 0.5
        asked = value if truth else regions.one_of([other for other in _VALUES[name] if other != value])
        return Draft(text.format(prompt_name(chosen[0]), _with_article(asked) if name == "shape" else asked), YES_NO, _yes(truth))


_is_attribute("is_colour", "colour", "Is {} {}?")
_is_attribute("is_shape", "shape", "Is {} {}?")


def _with_article(noun: str) -> str:
    return f"a {noun}"


def _yes(truth: bool) -> str:
    return "yes" if truth else "no"


def _relation(kind: str, relation: str, text: str, swapped: bool = False) -> None:
    """Yes or no about two regions. swapped: the relation is read from the second to the first."""

    @_register(kind, 2)
    def make(regions: Regions) -> Draft | None:
        chosen = regions.some(len(regions.objects)) or []
        pairs = {YES: [], NO: []}  # type: dict[int, list[tuple[int, ...]]]
        for one, two in itertools.permutations(chosen, 2):
            pairs.get(regions.related(relation, *((two, one) if swapped else (one, two))), []).append((one, two))
        return _balanced(regions, kind, pairs[YES], pairs[NO], text)


def _balanced(regions: Regions, kind: str, yes: list[tuple[int, ...]], no: list[tuple[int, ...]], text: str) -> Draft | None:
    """Asks about one of the `yes` or one of the `no` tuples of prompts, so that over many scenes both are as frequent."""
    rng, wanted = regions.rng, regions.rng.random() < 0.5
    if not wanted and rng.random() >= _no_rate(kind, len(regions.objects), bool(yes)):
        return None
    tuples = yes if wanted else no
    if not tuples:
        return None
    turned = [pair for pair in no if pair[::-1] in yes]
    if not wanted and turned and rng.random() < 0.5:
        tuples = turned  # the harder "no": the right regions in the wrong order
    prompts = tuples[int(rng.integers(len(tuples)))]
    return Draft(text.format(*map(prompt_name, prompts)), YES_NO, _yes(wanted))


def _no_rate(kind: str, count: int, holds_somewhere: bool) -> float:
    """How often a "no" that was drawn is asked, given whether a "yes" was possible with the same regions."""
    if kind not in _SHARE_WITH_YES:
        return 1.0
    share = _SHARE_WITH_YES[kind][min(count, 5) - 2]
    if count == 2 and kind in ("touching", "same_colour", "same_shape"):  # two regions allow one answer only
        return share / (1 - share)
    elsewhere = min(1.0, 0.5 * share / (1 - share))
    return 1 - elsewhere * (1 - share) / share if holds_somewhere else elsewhere


_relation("left_of", "left_of", "Is {} to the left of {}?")
_relation("right_of", "left_of", "Is {} to the right of {}?", swapped=True)
_relation("in_front", "in_front", "Is {} in front of {}?")
_relation("behind", "in_front", "Is {} behind {}?", swapped=True)
_relation("on_top", "on_top", "Is {} on top of {}?")
_relation("inside", "inside", "Is {} inside {}?")
_relation("touching", "touching", "Is {} touching {}?")
_relation("same_colour", "same_colour", "Is {} the same colour as {}?")
_relation("same_shape", "same_shape", "Is {} the same shape as {}?")


def _comparison(kind: str, relation: str, of_two: str, of_more: str, swapped: bool = False) -> None:
    """Which of the regions comes first in a relation, for instance the leftmost."""

    @_register(kind, 2)
    def make(regions: Regions) -> Draft | None:
        chosen = regions.several(2)
        for first in chosen or []:
            others = [other for other in chosen or [] if other != first]
            if all(regions.related(relation, *((other, first) if swapped else (first, other))) == YES for other in others):
                return _which(of_two if len(others) == 1 else of_more, chosen or [], first)
        return None


_comparison("larger", "larger", "Which is larger", "Which is largest")
_comparison("further_left", "left_of", "Which is further left", "Which is furthest left")
_comparison("further_right", "left_of", "Which is further right", "Which is furthest right", swapped=True)
_comparison("nearer", "nearer", "Which is nearer to the camera", "Which is nearest to the camera")


@_register("which_is", 2)
def _which_is(regions: Regions) -> Draft | None:
    return _single_out(regions, 2, "Which is {}", wanted_rest=None)


@_register("which_not", 3)
def _which_not(regions: Regions) -> Draft | None:
    return _single_out(regions, 3, "Which is not {}", wanted_rest=1)


def _single_out(regions: Regions, fewest: int, text: str, wanted_rest: int | None) -> Draft | None:
    """The one region that has a value (any values in the rest), or the one that has not (one value in the rest)."""
    chosen, name = regions.several(fewest), regions.one_of(tuple(_VALUES))
    if chosen is None:
        return None
    values = [regions.attribute(name, prompt) for prompt in chosen]
    odd = [at for at, value in enumerate(values) if values.count(value) == 1 and (wanted_rest is None or len(set(values)) == 2)]
    if not odd:
        return None
    at = odd[int(regions.rng.integers(len(odd)))]
    asked = values[at] if wanted_rest is None else values[at - 1]
    return _which(text.format(_with_article(asked) if name == "shape" else asked), chosen, chosen[at])


@_register("closest", 3)
def _closest(regions: Regions) -> Draft | None:
    chosen = regions.several(3)
    if chosen is None:
        return None
    item, others = chosen[0], chosen[1:]
    nearest = regions.truth.closest(regions.objects[item], tuple(regions.objects[other] for other in others))
    if nearest is None:
        return None
    return _which(f"Which is closest to {prompt_name(item)}", others, next(o for o in others if regions.objects[o] == nearest))


@_register("between", 3)
def _between(regions: Regions) -> Draft | None:
    chosen = regions.some(len(regions.objects)) or []
    triples = {YES: [], NO: []}  # type: dict[int, list[tuple[int, ...]]]
    for triple in itertools.permutations(chosen, 3):
        triples.get(regions.truth.between(*(regions.objects[prompt] for prompt in triple)), []).append(triple)
    return _balanced(regions, "between", triples[YES], triples[NO], "Is {} between {} and {}?")


@_register("multiple_choice", 1)
def _multiple_choice(regions: Regions) -> Draft | None:
    """Another question as options with letters, as the released evaluation asks."""
    kinds = [name for name in _WITH_OPTIONS if KINDS[name].regions <= len(regions.objects)]
    draft = KINDS[regions.one_of(kinds)].make(regions)
    if draft is None:
        return None
    others = [choice for choice in draft.choices if choice != draft.answer]
    shown = [draft.answer, *regions.rng.permutation(others)[: len(LETTERS) - 1]]
    shown = [str(choice) for choice in regions.rng.permutation(shown)]
    letters = LETTERS[: len(shown)]
    lines = [f"{letter}. {choice}" for letter, choice in zip(letters, shown, strict=True)]
    text = "\n".join([f"Question: {draft.text}\nOptions:", *lines, "Answer with the correct option's letter directly."])
    return Draft(text, tuple(letters), letters[shown.index(draft.answer)])


_WITH_OPTIONS = ("colour", "shape", "larger", "further_left", "further_right", "nearer", "which_is", "which_not", "closest")
