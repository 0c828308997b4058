# SPDX-License-Identifier: Apache-2.0
"""What the demo asks. The next question may depend on the last answer, as a planner's do, but not on the truth."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Generator, Sequence

import numpy as np

from gar_ros.demo.judge import RELATIONS, Fact, object_index, relation
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Box, Region
from gar_ros.sim.contact import UNCLEAR, YES
from gar_ros.sim.question_draft import YES_NO, prompt_name
from gar_ros.sim.questions import Question, pick_regions, questions_for
from gar_ros.sim.truth import SceneTruth

# What gar-tiny answers right in more than nine cases of ten (its card), in few words each.
ATTRIBUTES = ("colour", "shape", "size", "finish", "is_colour", "is_shape", "is_size")
COMPARISONS = (
    "left_of", "right_of", "in_front", "behind", "same_colour", "larger", "larger_than", "nearer", "nearer_than",
    "which_is", "which_not", "further_left", "further_right", "closest", "word_choice",
)  # fmt: skip


def holding_questions(truth: SceneTruth, regions: Sequence[Region]) -> Generator[Question, str, list[Fact]]:
    """Finds out what lies in or on what: yields questions, is sent the answer to each, returns the facts found.

    As a planner would that sees boxes only: of two regions whose boxes overlap, those that overlap most first, the
    smaller one may be inside a bowl, or one may be on top of the other. What the simulator can't say for sure is not
    asked.
    """
    near = sorted(itertools.combinations(regions, 2), key=lambda pair: _overlap(*pair), reverse=True)
    facts: list[Fact] = []
    bowls: dict[str, str] = {}  # answers
    for pair in near:
        if _overlap(*pair) == 0:
            break
        small, large = sorted(pair, key=lambda region: _area(region.box))
        if large.id not in bowls:
            bowls[large.id] = yield _is_bowl(truth, large.id)
        if bowls[large.id] == "yes":
            candidates = [Fact(small.id, "inside", large.id)]
        else:
            candidates = [Fact(small.id, "on top of", large.id), Fact(large.id, "on top of", small.id)]
        for fact in candidates:
            question = _is_true(truth, fact)
            if question is not None and (yield question) == "yes":
                facts.append(fact)
                break
    return facts


def _is_bowl(truth: SceneTruth, region: str) -> Question:
    index = object_index(region)
    answer = "yes" if truth.scene.objects[index].shape == "bowl" else "no"
    return Question("is_shape", f"Is {prompt_name(0)} a bowl?", (index,), YES_NO, answer)


def _is_true(truth: SceneTruth, fact: Fact) -> Question | None:
    """The question whether a fact holds, None where its truth is unclear."""
    value = relation(truth, fact)
    if value == UNCLEAR:
        return None
    text = f"Is {prompt_name(0)} {fact.predicate} {prompt_name(1)}?"
    regions = (object_index(fact.subject), object_index(fact.object))
    return Question(RELATIONS[fact.predicate], text, regions, YES_NO, "yes" if value == YES else "no")


def draw_question(
    truth: SceneTruth, regions: int, kinds: Sequence[str], rng: np.random.Generator, used: Collection[str] = ()
) -> Question:
    """A random question about `regions` objects, or about fewer where not so many can be asked about.

    kinds: names from `question_kinds.KINDS`. used: kinds that are asked again only where no other is possible. Raises
    GarError UNKNOWN_REGION where no object can be seen well enough.
    """
    new = [kind for kind in kinds if kind not in used]
    for number, preferred in itertools.product(range(regions, 0, -1), (new, kinds)):
        for question in questions_for(truth, pick_regions(truth, number, rng), rng, 1, preferred):
            return question
    raise GarError(ErrorCode.UNKNOWN_REGION, "expected an object that can be seen well enough to ask about it")


def _overlap(one: Region, other: Region) -> float:
    """The part of the smaller box that lies within the other box, 0..1."""
    (left, top, right, bottom), (x0, y0, x1, y1) = one.box, other.box
    common = max(0, min(right, x1) - max(left, x0)) * max(0, min(bottom, y1) - max(top, y0))
    return common / min(_area(one.box), _area(other.box))


def _area(box: Box) -> int:
    """Pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])
