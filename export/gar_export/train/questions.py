# SPDX-License-Identifier: Apache-2.0
"""What is asked about which regions of a stored scene, and the texts the tokenizer must know."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gar_export.train.scenes import ABSENT, ATTRIBUTES, Scenes
from gar_export.train.tiny_checkpoint import SYSTEM_TEXT
from gar_ros.sim.question_kinds import KINDS
from gar_ros.sim.questions import Question, pick_regions, questions_for

CAPTION_FORM = "caption_form"  # kind of the released caption request, which has no question text
DIRECT_KINDS = ("further_left", "further_right", "nearer", "larger")
"""Comparisons that name the answer: learnt much sooner than the same relation asked as yes or no."""

VALUES = tuple(value for values in ATTRIBUTES.values() for value in values)

_PROMPT = re.compile(r"<Prompt\d+>")
_OPTION = re.compile(r"^([A-D])\. .+$", re.MULTILINE)
_LAST_DECIDES = ("further_left", "further_right", "larger", "nearer", "closest")

TEMPLATE_TEXTS = (
    SYSTEM_TEXT,
    "system\n\nuser\n\nassistant\n\n",
    "There are some objects I am curious about: <Prompt0>; <Prompt1>; \n<Prompt0>: \n\n",
    "Describe this masked region in detail.",
)
SPARE_TEXTS = (
    "not visible, none of these, hidden, both, all, only, other, another, two, three, four, five, one, zero, how many",
    "a an the this that it and or of in on at by with from to between under above below near far next beside",
    "table floor object objects region regions picture image camera robot gripper cup tray tool open closed full empty",
    "Can you see What Which Where Is Are Does Do How Describe Name Answer yes no Yes No E. F. A B C D E F",
)
"""Words that later questions may use: the embedding table keeps its rows when the questions grow."""


class QuestionDrawer:
    """Draws regions and questions for stored scenes."""

    def __init__(self, scenes: Scenes) -> None:
        self._truths = scenes.truths
        self._askable = np.array([truth.askable.sum() for truth in scenes.truths])

    def with_regions(self, count: int) -> NDArray[np.int64]:
        """Indexes of the scenes in which at least `count` objects can be asked about."""
        return np.flatnonzero(self._askable >= count)

    def regions(self, scene: int, count: int, rng: np.random.Generator) -> tuple[int, ...]:
        """Object indexes of <Prompt0>, <Prompt1>, .."""
        return pick_regions(self._truths[scene], count, rng)

    def draw(
        self, scene: int, objects: tuple[int, ...], count: int, rng: np.random.Generator, focus: tuple[str, ...] = ()
    ) -> list[Question]:
        """At most `count` different questions; half of them of the kinds in `focus` where there are such."""
        truth = self._truths[scene]
        focused = questions_for(truth, objects, rng, count // 2, focus) if focus else []
        known = {question.text for question in focused}
        others = questions_for(truth, objects, rng, count, None)
        return (focused + [question for question in others if question.text not in known])[:count]

    def caption(self, scene: int, objects: tuple[int, ...], rng: np.random.Generator) -> list[Question]:
        """The released caption request about the only region."""
        described = questions_for(self._truths[scene], objects, rng, 1, ("caption",))
        return [Question(CAPTION_FORM, "", one.regions, (), one.answer) for one in described]


def decided(kind: str, text: str, answer: str) -> list[tuple[int, bool]]:
    """Where in a question a match can be decided, and whether there is one: (characters up to the end of that word,
    match). The word that is asked for, or a region's name, is compared with what came before it."""
    names = list(_PROMPT.finditer(text))
    if kind not in KINDS:
        return []
    if kind.startswith("is_") or kind == "can_see":
        return [(text.index("?"), answer == "yes")]
    if kind.startswith("same_"):
        return [(names[1].end(), answer == "yes")]
    if kind in ("which_is", "which_not"):
        return [(name.end(), name[0] == answer) for name in names]
    if kind in _LAST_DECIDES:
        return [(names[-1].end(), names[-1][0] == answer)]
    if kind == "multiple_choice":
        return [(option.end(), option[1] == answer) for option in _OPTION.finditer(text)]
    return []


def asked_value(question: Question) -> int:
    """Index, of all attributes' values in a row, of the value that regions are compared with by their names, ABSENT
    where there is none: the last word before the names in "Which is red, .."."""
    if question.kind not in ("which_is", "which_not"):
        return ABSENT
    return VALUES.index(question.text.split(",")[0].split()[-1])


def corpus(scenes: Scenes, seed: int = 0) -> Iterator[str]:
    """Every text the model will read or write: templates, spare words, and all kinds of questions about `scenes`."""
    yield from TEMPLATE_TEXTS
    yield from SPARE_TEXTS
    rng = np.random.default_rng(seed)
    drawer = QuestionDrawer(scenes)
    for scene in drawer.with_regions(5):
        for question in drawer.draw(scene, drawer.regions(scene, 5, rng), 40, rng):
            yield question.text
            yield question.answer
            yield " " + " ".join(question.choices)
            yield "\n".join(question.choices)


def kinds() -> tuple[str, ...]:
    """Every kind of question, the caption form included."""
    return (*KINDS, CAPTION_FORM)
