# SPDX-License-Identifier: Apache-2.0
"""Parts of the kinds of questions: drafts, the regions they are drawn from, and the balance of yes and no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gar_ros.sim.contact import NO, YES
from gar_ros.sim.truth import SceneTruth

YES_NO = ("yes", "no")

# Share of region sets of 2, 3, 4, 5 regions from `pick_regions` in which the relation holds between some of them. Where
# it does not, "no" is asked only so often that over many scenes yes and no are equally frequent (a test measures it).
_SHARE_WITH_YES = {
    "on_top": (0.18, 0.24, 0.31, 0.40),
    "inside": (0.10, 0.14, 0.19, 0.25),
    "touching": (0.46, 0.66, 0.80, 0.89),
    "same_colour": (0.31, 0.56, 0.79, 0.91),
    "same_shape": (0.29, 0.56, 0.80, 0.94),
    "between": (0.0, 0.21, 0.53, 0.80),
}
_DECLINING = ("empty", "anything_inside", "anything_on_top")
_SYMMETRIC = ("touching", "same_colour", "same_shape")


@dataclass(frozen=True)
class Draft:
    """A question and its answer. choices: () when it is open."""

    text: str
    choices: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Regions:
    """The regions of a picture that a question is drawn from. objects: the object's index for each prompt number."""

    truth: SceneTruth
    objects: tuple[int, ...]
    rng: np.random.Generator

    def all(self) -> list[int]:
        """The prompt numbers that can be asked about."""
        return [prompt for prompt, index in enumerate(self.objects) if self.truth.askable[index]]

    def some(self, count: int) -> list[int] | None:
        """`count` prompt numbers that can be asked about, in random order; None when there are fewer."""
        numbers = self.all()
        return [int(number) for number in self.rng.permutation(numbers)[:count]] if len(numbers) >= count else None

    def several(self, fewest: int) -> list[int] | None:
        """A random number of prompt numbers that can be asked about, at least `fewest`; None when there are fewer."""
        return self.some(int(self.rng.integers(fewest, max(fewest, len(self.objects)) + 1)))

    def attribute(self, name: str, prompt: int) -> str:
        """The attribute `name` (colour, shape, size or finish) of a region's object."""
        value: str = getattr(self.truth.scene.objects[self.objects[prompt]], name)
        return value

    def related(self, relation: str, first: int, second: int) -> int:
        """Whether a relation holds from the first to the second prompt number: YES, NO or UNCLEAR."""
        return int(self.truth.relations[relation][self.objects[first], self.objects[second]])

    def one_of(self, items: Sequence[str]) -> str:
        """A random item."""
        return items[int(self.rng.integers(len(items)))]


Maker = Callable[[Regions], "Draft | None"]


@dataclass(frozen=True)
class Kind:
    """A kind of question. regions: least number of regions that it needs. make: makes its drafts."""

    name: str
    regions: int
    make: Maker

    @property
    def once(self) -> bool:
        """Whether `make` declines at random to balance yes and no, so that a second try would undo the balance."""
        return self.name in _SHARE_WITH_YES or self.name in _DECLINING


def prompt_name(number: int) -> str:
    """The text <PromptN> of a prompt number."""
    return f"<Prompt{number}>"


def yes_or_no(text: str, truth: bool) -> Draft:
    """A question answered by yes or no."""
    return Draft(text, YES_NO, "yes" if truth else "no")


def balanced(
    regions: Regions, kind: str, text: str, prompts: Sequence[tuple[int, ...]], values: Sequence[int]
) -> Draft | None:
    """A draft about one tuple of prompt numbers, None to decline; over many scenes yes and no are equally frequent.

    text: with {} for each prompt. prompts: the tuples, with a value YES, NO or UNCLEAR for each in `values`.
    """
    rng, wanted = regions.rng, regions.rng.random() < 0.5
    yes = [numbers for numbers, value in zip(prompts, values, strict=True) if value == YES]
    no = [numbers for numbers, value in zip(prompts, values, strict=True) if value == NO]
    if not wanted and rng.random() >= _no_rate(kind, len(regions.objects), bool(yes)):
        return None
    tuples = yes if wanted else no
    if not tuples:
        return None
    reversed_yes = [numbers for numbers in no if numbers[::-1] in yes]
    if not wanted and reversed_yes and rng.random() < 0.5:
        tuples = reversed_yes  # the harder "no": the right regions in the wrong order
    return yes_or_no(text.format(*map(prompt_name, tuples[int(rng.integers(len(tuples)))])), wanted)


def _no_rate(kind: str, count: int, holds_somewhere: bool) -> float:
    """How often a "no" that was drawn is asked, given whether a "yes" was possible with the same regions."""
    if kind not in _SHARE_WITH_YES:
        return 1.0
    share = _SHARE_WITH_YES[kind][min(count, 5) - 2]
    if count == 2 and kind in _SYMMETRIC:  # two regions allow one answer only
        return share / (1 - share)
    elsewhere = min(1.0, 0.5 * share / (1 - share))
    return 1 - elsewhere * (1 - share) / share if holds_somewhere else elsewhere
