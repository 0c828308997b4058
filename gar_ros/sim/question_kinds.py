# SPDX-License-Identifier: Apache-2.0
"""The kinds of questions, one small function each. It takes the regions of a picture and returns a draft, or None when
there is nothing clear to ask. Answers are balanced: without the picture none is likelier than another.

In a question <PromptN> is the region with prompt number N; the functions below work with these numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from gar_ros.sim.contact import YES
from gar_ros.sim.question_draft import Draft, Kind, Maker, Regions, balanced, prompt_name, yes_or_no
from gar_ros.sim.scene import COLOURS, FINISHES, SHAPES, SIZES

LETTERS = "ABCD"
VISIBLE = ("yes", "not visible")

_VALUES = {"colour": COLOURS, "shape": SHAPES, "size": SIZES, "finish": FINISHES}
_WITH_OPTIONS = (
    "colour",
    "shape",
    "larger",
    "further_left",
    "further_right",
    "nearer",
    "which_is",
    "which_not",
    "closest",
)

KINDS: dict[str, Kind] = {}


def _register(name: str, regions: int) -> Callable[[Maker], Maker]:
    def keep(make: Maker) -> Maker:
        KINDS[name] = Kind(name, regions, make)
        return make

    return keep


def _which(text: str, prompts: Sequence[int], answer: int) -> Draft:
    """A draft that names its choices at the end: "..., <Prompt0>, <Prompt1> or <Prompt2>?"."""
    names = [prompt_name(prompt) for prompt in prompts]
    return Draft(f"{text}, {', '.join(names[:-1])} or {names[-1]}?", tuple(names), prompt_name(answer))


def _as_complement(attribute: str, value: str) -> str:
    """An attribute's value as it stands after "is": shapes are nouns."""
    return f"a {value}" if attribute == "shape" else value


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


def _is_attribute(kind: str, name: str) -> None:
    @_register(kind, 1)
    def make(regions: Regions) -> Draft | None:
        chosen = regions.some(1)
        if chosen is None:
            return None
        value, truth = regions.attribute(name, chosen[0]), regions.rng.random() < 0.5
        asked = value if truth else regions.one_of([other for other in _VALUES[name] if other != value])
        return yes_or_no(f"Is {prompt_name(chosen[0])} {_as_complement(name, asked)}?", truth)


_is_attribute("is_colour", "colour")
_is_attribute("is_shape", "shape")
_is_attribute("is_size", "size")
_is_attribute("is_finish", "finish")


@_register("what_is", 1)
def _what_is(regions: Regions) -> Draft | None:
    chosen = regions.some(1)
    if chosen is None:
        return None
    colour, shape = (regions.attribute(name, chosen[0]) for name in ("colour", "shape"))
    return Draft(f"What is {prompt_name(chosen[0])}?", (), f"a {colour} {shape}")


@_register("can_see", 1)
def _can_see(regions: Regions) -> Draft | None:
    """A question about something in the picture, region or not. What another object hides is not visible."""
    objects, truth = regions.truth.scene.objects, regions.truth
    kinds = [(item.colour, item.shape) for item in objects]
    clear = {kind for kind, askable in zip(kinds, truth.askable, strict=True) if askable}
    visible = {kind for kind, pixels in zip(kinds, truth.pixels, strict=True) if pixels > 0}
    if regions.rng.random() < 0.5:
        asked = sorted(clear)
    else:
        asked = sorted(set(kinds) - visible) or sorted(set(itertools.product(COLOURS, SHAPES)) - set(kinds))
    if not asked:
        return None
    colour, shape = asked[int(regions.rng.integers(len(asked)))]
    answer = VISIBLE[0] if (colour, shape) in clear else VISIBLE[1]
    return Draft(f"Can you see a {colour} {shape}?", VISIBLE, answer)


def _relation(kind: str, relation: str, text: str, swapped: bool = False) -> None:
    """Registers a yes-or-no question about two regions. swapped: the relation holds from the second to the first."""

    @_register(kind, 2)
    def make(regions: Regions) -> Draft | None:
        pairs = list(itertools.permutations(regions.all(), 2))
        values = [regions.related(relation, *(pair[::-1] if swapped else pair)) for pair in pairs]
        return balanced(regions, kind, text, pairs, values)


_relation("left_of", "left_of", "Is {} to the left of {}?")
_relation("right_of", "left_of", "Is {} to the right of {}?", swapped=True)
_relation("in_front", "in_front", "Is {} in front of {}?")
_relation("behind", "in_front", "Is {} behind {}?", swapped=True)
_relation("larger_than", "larger", "Is {} larger than {}?")
_relation("nearer_than", "nearer", "Is {} nearer to the camera than {}?")
_relation("on_top", "on_top", "Is {} on top of {}?")
_relation("inside", "inside", "Is {} inside {}?")
_relation("touching", "touching", "Is {} touching {}?")
_relation("same_colour", "same_colour", "Is {} the same colour as {}?")
_relation("same_shape", "same_shape", "Is {} the same shape as {}?")


def _comparison(kind: str, relation: str, of_two: str, of_more: str, swapped: bool = False) -> None:
    """Registers the question which region is first in a relation, for instance the leftmost. swapped: which is last."""

    @_register(kind, 2)
    def make(regions: Regions) -> Draft | None:
        chosen = regions.several(2) or []
        for first in chosen:
            pairs = [(other, first) if swapped else (first, other) for other in chosen if other != first]
            if all(regions.related(relation, *pair) == YES for pair in pairs):
                return _which(of_two if len(pairs) == 1 else of_more, chosen, first)
        return None


_comparison("larger", "larger", "Which is larger", "Which is largest")
_comparison("further_left", "left_of", "Which is further left", "Which is furthest left")
_comparison("further_right", "left_of", "Which is further right", "Which is furthest right", swapped=True)
_comparison("nearer", "nearer", "Which is nearer to the camera", "Which is nearest to the camera")


@_register("which_is", 2)
def _which_is(regions: Regions) -> Draft | None:
    return _single_out(regions, 2, "Which is {}", odd_one_out=False)


@_register("which_not", 3)
def _which_not(regions: Regions) -> Draft | None:
    return _single_out(regions, 3, "Which is not {}", odd_one_out=True)


def _single_out(regions: Regions, fewest: int, text: str, odd_one_out: bool) -> Draft | None:
    """A question about the only region that has a value, or about the only one that lacks the others' value."""
    chosen, name = regions.several(fewest), regions.one_of(tuple(_VALUES))
    if chosen is None:
        return None
    values = [regions.attribute(name, prompt) for prompt in chosen]
    single = [index for index, value in enumerate(values) if values.count(value) == 1]
    if not single or (odd_one_out and len(set(values)) != 2):
        return None
    index = single[int(regions.rng.integers(len(single)))]
    asked = values[index - 1] if odd_one_out else values[index]
    return _which(text.format(_as_complement(name, asked)), chosen, chosen[index])


@_register("closest", 3)
def _closest(regions: Regions) -> Draft | None:
    chosen = regions.several(3)
    if chosen is None:
        return None
    item, others = chosen[0], chosen[1:]
    nearest = regions.truth.closest(regions.objects[item], tuple(regions.objects[other] for other in others))
    if nearest is None:
        return None
    return _which(f"Which is closest to {prompt_name(item)}", others, regions.objects.index(nearest))


@_register("between", 3)
def _between(regions: Regions) -> Draft | None:
    triples = list(itertools.permutations(regions.all(), 3))
    values = [regions.truth.between(*(regions.objects[prompt] for prompt in triple)) for triple in triples]
    return balanced(regions, "between", "Is {} between {} and {}?", triples, values)


@_register("multiple_choice", 1)
def _multiple_choice(regions: Regions) -> Draft | None:
    """A question of another kind as options with letters, worded as in the released evaluation."""
    draft, shown = _options(regions)
    if draft is None:
        return None
    letters = LETTERS[: len(shown)]
    lines = [f"{letter}. {choice}" for letter, choice in zip(letters, shown, strict=True)]
    text = "\n".join([f"Question: {draft.text}\nOptions:", *lines, "Answer with the correct option's letter directly."])
    return Draft(text, tuple(letters), letters[shown.index(draft.answer)])


@_register("word_choice", 1)
def _word_choice(regions: Regions) -> Draft | None:
    """A question of another kind as options that are answered by their words."""
    draft, shown = _options(regions)
    if draft is None:
        return None
    return Draft(f"{draft.text} Answer with one of these: {', '.join(shown)}.", tuple(shown), draft.answer)


def _options(regions: Regions) -> tuple[Draft | None, list[str]]:
    """A draft of another kind, None without one, and some of its choices in random order, the right one among them."""
    kinds = [name for name in _WITH_OPTIONS if KINDS[name].regions <= len(regions.objects)]
    draft = KINDS[regions.one_of(kinds)].make(regions)
    if draft is None:
        return None, []
    others = [choice for choice in draft.choices if choice != draft.answer]
    shown = [draft.answer, *regions.rng.permutation(others)[: len(LETTERS) - 1]]
    return draft, [str(choice) for choice in regions.rng.permutation(shown)]
