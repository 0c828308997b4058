# SPDX-License-Identifier: Apache-2.0
"""What the demo asks. Which question comes next depends on the regions and on chance, never on an answer."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence

import numpy as np

from gar_ros.demo.judge import RELATIONS, relation
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Box, Region
from gar_ros.sim.contact import NO, YES
from gar_ros.sim.question_draft import YES_NO, prompt_name
from gar_ros.sim.questions import Question, pick_regions, questions_for
from gar_ros.sim.truth import SceneTruth

# What gar-tiny answers right in more than nine cases of ten (its card), in few words each.
ATTRIBUTES = ("colour", "shape", "size", "finish", "is_colour", "is_shape", "is_size")
COMPARISONS = (
    "left_of", "right_of", "in_front", "behind", "same_colour", "larger", "larger_than", "nearer", "nearer_than",
    "which_is", "which_not", "further_left", "further_right", "closest", "word_choice",
)  # fmt: skip


def holding_questions(truth: SceneTruth, regions: Sequence[Region]) -> list[Question]:
    """What lies in what, then what lies on what, for all regions whose boxes overlap; those that overlap most first.

    A planner that only sees boxes can ask so: whether the object of the smaller box is inside the other one, and, in
    both orders, whether one is on top of the other. What the simulator can't say for sure is left out.
    """
    near = sorted(itertools.combinations(regions, 2), key=lambda pair: _overlap(*pair), reverse=True)
    pairs = [sorted(pair, key=lambda region: _area(region.box)) for pair in near if _overlap(*pair) > 0]
    facts = [("inside", small.id, large.id) for small, large in pairs]
    facts += [("on top of", *ids) for one, other in pairs for ids in ((one.id, other.id), (other.id, one.id))]
    answers = {YES: "yes", NO: "no"}
    return [
        Question(
            kind=RELATIONS[predicate],
            text=f"Is {prompt_name(0)} {predicate} {prompt_name(1)}?",
            regions=(int(one) - 1, int(other) - 1),
            choices=YES_NO,
            answer=answers[relation(truth, predicate, one, other)],
        )
        for predicate, one, other in facts
        if relation(truth, predicate, one, other) in answers
    ]


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
