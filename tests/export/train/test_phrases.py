# SPDX-License-Identifier: Apache-2.0
"""What the losses are told about the words of phrases."""

from __future__ import annotations

import torch

from gar_export.train import phrase_targets
from gar_export.train.phrases import NOTHING, RELATIONS, Wanted, reading
from gar_ros.sim.questions import Question

# Classes of an attribute: 0 nothing asked, 1 .. n its values, n + 1 .. 2 n not its values.
RED, NOT_RED, MUG, BOX, STRIPED = 1, 9, 5, 1, 2
NOTHING_ASKED = Wanted((0, 0, 0, 0), False)


def test_a_phrase_before_a_name_asks_for_values() -> None:
    read = reading("describes", 'Does "a striped red cup" describe <Prompt0>?')
    assert read.wanted == (Wanted((RED, MUG, 0, STRIPED), False), NOTHING_ASKED)
    text = 'Does "a striped red cup'
    assert [text[: word.end].split()[-1] for word in read.words] == ["striped", "red", "cup"]
    assert not any(word.after_name or word.negated for word in read.words)


def test_not_is_about_the_next_value() -> None:
    read = reading("describes_not", 'Does "the mug that is not red" describe <Prompt1>?')
    assert read.wanted[0].classes == (NOT_RED, MUG, 0, 0)
    assert [word.negated for word in read.words] == [False, True]


def test_words_after_a_relation_are_the_other_object_s() -> None:
    text = 'Does "the red mug in front of a giraffe" describe <Prompt1>, with <Prompt0> as the other object?'
    assert reading("describes_pair", text).wanted == (Wanted((RED, MUG, 0, 0), False), Wanted((0, 0, 0, 0), True))
    assert reading("describes_pair", text).relation == RELATIONS.index("in_front")
    turned = reading("describes_pair", 'Does "thing which is not on the box" describe <Prompt0>, with <Prompt1> as ..')
    assert turned.wanted == (NOTHING_ASKED, Wanted((0, BOX, 0, 0), False))
    assert turned.relation == RELATIONS.index("on_top") + len(RELATIONS), "it is not on the box"


def test_words_after_a_name_are_compared_where_they_stand() -> None:
    read = reading("is_not", "Is <Prompt0> a red thing without stripes?")
    assert read.wanted == ()
    assert [(word.after_name, word.negated) for word in read.words] == [(True, False), (True, True)]


def test_other_questions_have_losses_of_their_own() -> None:
    assert reading("is_colour", "Is <Prompt0> red?") == NOTHING
    assert reading("one_or_two", 'Does "a red mug" name one object or two?').wanted == ()


def test_a_region_suits_what_is_asked_or_lacks_what_is_excluded() -> None:
    own = torch.tensor([[0, 4, 1, 0]] * 3)  # a red mug, large, plain
    wanted = torch.tensor([[RED, BOX, 0, 0, 0], [NOT_RED, MUG, 0, 0, 0], [NOT_RED + 1, 0, 2, STRIPED, 0]])
    suits, asked = phrase_targets.suits(wanted, own)
    assert asked.tolist() == [[True, True, False, False]] * 2 + [[True, False, True, True]]
    assert suits[asked].tolist() == [True, False, False, True, True, True, False]


def test_the_answer_tells_of_the_relation_where_both_regions_fit() -> None:
    text = 'Does "the red mug in front of a box" describe <Prompt1>, with <Prompt0> as the other object?'
    red_mug, blue_mug, box = [0, 4, 1, 0], [2, 4, 1, 0], [3, 0, 0, 1]
    yes, no = (Question("describes_pair", text, (), ("yes", "no"), answer) for answer in ("yes", "no"))
    own = [torch.tensor([first, box]) for first in (red_mug, red_mug, blue_mug)]
    fitting, holding = phrase_targets.verdicts([yes, no, no], own)
    assert fitting.tolist() == [1.0, 1.0, 0.0]
    assert holding[:2].tolist() == [1.0, 0.0] and bool(holding[2].isnan())
