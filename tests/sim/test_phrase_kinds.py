# SPDX-License-Identifier: Apache-2.0
"""Questions with phrases, negations and other wordings about scenes placed by hand, and the balance of answers."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from gar_ros.sim.contact import NO, UNCLEAR, YES
from gar_ros.sim.generate import random_scene
from gar_ros.sim.phrase_kinds import PHRASE_KINDS, related
from gar_ros.sim.phrase_words import VALUE_WORDS
from gar_ros.sim.question_kinds import KINDS
from gar_ros.sim.questions import Question, pick_regions, questions_for
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.truth import SceneTruth, scene_truth
from tests.sim.tabletop import SMALL_BALL, thing, truth_of


@pytest.fixture(scope="module")
def ball_in_bowl(renderer: TabletopRenderer) -> SceneTruth:
    """A small red striped ball in a large blue bowl, and an empty green mug beside."""
    bowl = thing("bowl", -0.08, 0.0, colour="blue", dimensions=(0.14, 0.14, 0.05))
    ball = thing("ball", -0.08, 0.0, 0.01, size="small", finish="striped", dimensions=SMALL_BALL)
    return truth_of(renderer, ball, bowl, thing("mug", 0.12, 0.0, colour="green"))


def asked(truth: SceneTruth, regions: tuple[int, ...], *kinds: str, draws: int = 200) -> list[Question]:
    return [
        question
        for seed in range(draws)
        for question in questions_for(truth, regions, np.random.default_rng(seed), 8, kinds or tuple(PHRASE_KINDS))
    ]


def values(text: str) -> list[tuple[str, str, bool]]:
    """Attribute, value and whether it is wanted, of every word for a value."""
    found, wanted = [], True
    for word in re.findall(r"[a-z]+", text.lower()):
        if word in ("not", "without"):
            wanted = False
        elif word in VALUE_WORDS:
            found.append((*VALUE_WORDS[word], wanted))
            wanted = True
    return found


@pytest.mark.parametrize("kind", ["describes", "describes_not", "is_phrase", "is_not"])
def test_yes_means_that_the_region_has_all_that_the_words_ask(ball_in_bowl: SceneTruth, kind: str) -> None:
    answers = set()
    for question in asked(ball_in_bowl, (0,), kind):
        item = ball_in_bowl.scene.objects[0]
        wanted = [(getattr(item, name) == value) == positive for name, value, positive in values(question.text)]
        assert question.answer == ("yes" if all(wanted) else "no"), question.text
        answers.add(question.answer)
        if kind in ("describes_not", "is_not"):
            assert re.search("not|without", question.text)
    assert answers == {"yes", "no"}


def test_the_templates_of_the_service_word_for_word(ball_in_bowl: SceneTruth) -> None:
    texts = [question.text for question in asked(ball_in_bowl, (0, 1))]
    single = re.compile(r'Does ".+" describe <Prompt[01]>\?')
    pair = re.compile(r'Does ".+" describe (<Prompt0>, with <Prompt1>|<Prompt1>, with <Prompt0>) as the other object\?')
    count = re.compile(r'Does ".+" name one object or two\?')
    quoted = [text for text in texts if text.startswith('Does "')]
    for form in (single, pair, count):
        assert sum(bool(form.fullmatch(text)) for text in quoted) > 50
    assert all(single.fullmatch(text) or pair.fullmatch(text) or count.fullmatch(text) for text in quoted)


def test_a_pair_fits_in_one_order_alone(ball_in_bowl: SceneTruth) -> None:
    inside = re.compile(r'Does "(?:the |a )?([a-z ]*ball) (?:in|inside|inside of) (?:the |a )?([a-z ]*bowl)" ')
    known = {*VALUE_WORDS, "with", "stripes"}
    found: dict[str, set[str]] = {"yes": set(), "no": set()}
    for question in asked(ball_in_bowl, (0, 1), "describes_pair", draws=400):
        parts = inside.match(question.text)
        if parts is None or not set(" ".join(parts.groups()).split()) <= known:
            continue
        fits = all(
            getattr(item, name) == value
            for item, part in zip(ball_in_bowl.scene.objects[:2], parts.groups(), strict=True)
            for name, value, _ in values(part)
        )
        ordered = "<Prompt0>, with <Prompt1>" in question.text
        assert question.answer == ("yes" if fits and ordered else "no"), question.text
        found[question.answer].add(question.text)
    assert found["yes"] and found["no"]


def test_what_holds_something_is_not_empty(ball_in_bowl: SceneTruth) -> None:
    about = asked(ball_in_bowl, (1, 2), "empty", "anything_inside")
    answers = {(question.text, question.answer) for question in about}
    assert {("Is <Prompt0> empty?", "no"), ("Is <Prompt1> empty?", "yes")} <= answers
    assert {("Is anything inside <Prompt0>?", "yes"), ("Is anything inside <Prompt1>?", "no")} <= answers
    assert len({text for text, _ in answers}) == len(answers), "a question has two answers"


def test_what_stands_on_something(renderer: TabletopRenderer) -> None:
    box, ball = thing("box", 0.0, 0.0), thing("ball", 0.0, 0.0, 0.06, dimensions=SMALL_BALL)
    truth = truth_of(renderer, box, ball)
    answers = {question.text: question.answer for question in asked(truth, (0, 1), "anything_on_top")}
    assert answers["Is anything on top of <Prompt0>?"] == "yes"
    assert answers["Is anything on top of <Prompt1>?"] == "no"
    assert not asked(truth, (0, 1), "empty"), "only bowls and mugs can be empty"
    assert related(truth, "under", 0, 1) == YES and related(truth, "under", 1, 0) == NO


def test_next_to_is_about_the_space_between(renderer: TabletopRenderer) -> None:
    boxes = [thing("box", x, 0.0) for x in (-0.15, -0.08, 0.05, 0.15)]  # 1 cm, 7 cm and 4 cm between neighbours
    truth = truth_of(renderer, *boxes)
    assert related(truth, "next_to", 0, 1) == YES
    assert related(truth, "next_to", 1, 2) == UNCLEAR
    assert related(truth, "next_to", 0, 2) == NO


def test_words_name_two_objects_where_there_is_something_between_them(ball_in_bowl: SceneTruth) -> None:
    for question in asked(ball_in_bowl, (0,), "one_or_two"):
        two = re.search(
            r" (inside|in|holding|containing|around|on|under|below|left|right|front|behind|touching|next|beside|near) ",
            question.text,
        )
        assert question.answer == ("two" if two else "one"), question.text
        assert question.choices == ("one", "two")


def test_other_wordings_have_the_same_answers(ball_in_bowl: SceneTruth) -> None:
    answers = {question.text: question.answer for question in asked(ball_in_bowl, (0,), "asked_otherwise")}
    assert answers["What is the colour of <Prompt0>?"] == "red"
    assert answers["Tell me the shape of <Prompt0>."] == "ball"
    assert answers["Is <Prompt0> large or small?"] == "small"
    claimed = {question.text: question.answer for question in asked(ball_in_bowl, (0,), "claimed_otherwise")}
    assert claimed["Is the colour of <Prompt0> red?"] == claimed["Does <Prompt0> have stripes?"] == "yes"
    related_ = {question.text: question.answer for question in asked(ball_in_bowl, (0, 1), "related_otherwise")}
    assert related_["Is <Prompt0> in <Prompt1>?"] == related_["Does <Prompt1> contain <Prompt0>?"] == "yes"
    assert related_["Is <Prompt1> in <Prompt0>?"] == "no"


def test_phrases_come_up_only_where_they_are_asked_for(ball_in_bowl: SceneTruth) -> None:
    assert not set(KINDS) & set(PHRASE_KINDS)
    kinds = {
        question.kind
        for seed in range(100)
        for question in questions_for(ball_in_bowl, (0, 1), np.random.default_rng(seed), 20)
    }
    assert kinds <= set(KINDS)


def test_answers_are_equally_frequent(renderer: TabletopRenderer) -> None:
    scenes = [random_scene(1000 + seed) for seed in range(120)]
    truths = [scene_truth(scene, renderer.render(scene, depth=False).labels) for scene in scenes]
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    rng = np.random.default_rng(0)
    for truth in truths:
        for count in (1, 1, 2, 2, 3, 5):
            regions = pick_regions(truth, count, rng)
            for question in questions_for(truth, regions, rng, 8, tuple(PHRASE_KINDS)) if regions else []:
                answers[question.kind][question.answer] += 1
    assert set(answers) == set(PHRASE_KINDS)
    for kind, counts in answers.items():
        if kind != "asked_otherwise":
            assert counts.total() > 30, f"{kind}: {counts}"
            assert counts.most_common()[0][1] / counts.total() < 0.65, f"{kind}: {counts}"
