# SPDX-License-Identifier: Apache-2.0
"""Batches of the answer stage, on rendered scenes and an untrained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gar_export.config import GarConfig
from gar_export.model import GarModel
from gar_export.tokens import prompt_builder, read_prompts
from gar_export.train.answer_stage import AnswerStage, Curriculum
from gar_export.train.heads import MENTIONED, PLACE, Heads
from gar_export.train.mixed_stage import MixedStage
from gar_export.train.packing import NO_LABEL
from gar_export.train.phrase_targets import value_words, wanted
from gar_export.train.questions import VALUES, asked_value, corpus
from gar_export.train.scenes import ABSENT, render_scenes
from gar_export.train.states import AnswerBatch
from gar_export.train.tiny_checkpoint import write_companions
from gar_export.train.tokenizer import train_tokenizer
from gar_export.train.vision_stage import VisionStage
from gar_ros.sim.phrase_kinds import PHRASE_KINDS
from gar_ros.sim.questions import Question

REGIONS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[AnswerStage, GarModel, AnswerBatch]:
    scenes = render_scenes(1_000_000, 12, varied=False)
    folder: Path = tmp_path_factory.mktemp("tiny")
    write_companions(folder, train_tokenizer(corpus(scenes)))
    config = GarConfig.read(folder)
    curriculum = Curriculum(region_shares=(0.0, 0.0, 1.0), questions=20)
    prompts, tokens = prompt_builder(folder, config), read_prompts(folder, config)[0]
    stage = AnswerStage(scenes, scenes, prompts, tokens, 4, curriculum)
    torch.manual_seed(0)
    model = GarModel(config)
    return stage, model, stage.batch(model, np.random.default_rng(0), np.random.default_rng(1))


def test_the_states_that_answer_know_the_regions_in_the_order_of_the_question(
    made: tuple[AnswerStage, GarModel, AnswerBatch],
) -> None:
    stage, _, batch = made
    known = stage.states.mentioned(batch, stage.states.named(batch))
    assert len(known.rows) > 10
    packed = batch.packed
    for row, place, held, placed in zip(
        known.rows.tolist(), known.at.tolist(), known.mentioned, known.placed, strict=True
    ):
        question = batch.asked[row][int(packed.segments[row, place])]
        assert packed.labels[row, place] == stage.prompts.choice(question.answer)[0]
        assert packed.labels[row, place - 1] == NO_LABEL
        order = list(dict.fromkeys(int(part[0]) for part in question.text.split("<Prompt")[1:]))
        for index, region in enumerate(order):
            assert torch.equal(held[index * PLACE : (index + 1) * PLACE], batch.places[row, region])
            assert torch.equal(placed[region * PLACE : (region + 1) * PLACE], batch.places[row, region])
        assert held[len(order) * PLACE :].isnan().all() and len(order) <= MENTIONED
        assert (~placed.isnan()).sum() == len(order) * PLACE


def test_the_words_that_decide_are_where_they_stand(made: tuple[AnswerStage, GarModel, AnswerBatch]) -> None:
    stage, _, batch = made
    tokenizer = stage.prompts._tokenizer
    words: dict[str, list[tuple[Question, str, bool]]] = {}
    for row, place, fits in stage.states.matches(batch).tolist():
        question = batch.asked[row][int(batch.packed.segments[row, place])]
        word = tokenizer.decode([int(batch.packed.ids[row, place])], skip_special_tokens=False).strip()
        words.setdefault(question.kind, []).append((question, word, bool(fits)))
    assert {"which_is", "is_colour", "multiple_choice", "further_left"} <= set(words)
    for question, word, fits in words["which_is"] + words["further_left"]:
        assert (word == question.answer) == fits
    for question, word, fits in words["is_colour"]:
        assert question.text.endswith(f" {word}?") and fits == (question.answer == "yes")
    for question, word, fits in words["multiple_choice"]:
        line = next(line for line in question.text.split("\n") if line[3:].endswith(word) and line[1] == ".")
        assert fits == (line[0] == question.answer)


def test_a_name_is_compared_with_the_first_one_and_with_the_value_asked_for(
    made: tuple[AnswerStage, GarModel, AnswerBatch],
) -> None:
    stage, _, batch = made
    named = stage.states.named(batch)
    kinds = set()
    for question, region, ordinal, first in zip(
        stage.states._questions(batch, named),
        named.regions.tolist(),
        named.ordinals.tolist(),
        named.first.tolist(),
        strict=True,
    ):
        assert f"<Prompt{region}>" in question.text
        assert question.text.index("<Prompt") == question.text.index(f"<Prompt{first}>")
        assert (ordinal == 0) == (region == first)
        kinds.add(question.kind)
        value = asked_value(question)
        assert (value == ABSENT) != question.kind.startswith("which_")
        assert value == ABSENT or f" {VALUES[value]}," in question.text
    assert {"which_is", "same_colour", "left_of"} <= kinds


def test_every_weight_of_the_decoder_and_the_vit_gets_a_gradient(
    made: tuple[AnswerStage, GarModel, AnswerBatch],
) -> None:
    stage, model, batch = made
    loss, numbers = stage.loss(model, Heads(model), batch)
    loss.backward()
    assert np.isfinite(list(numbers.values())).all()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert not [name for name in without if "pool" not in name], without


def test_a_share_of_the_steps_trains_the_vit_and_leaves_the_decoder_alone(
    made: tuple[AnswerStage, GarModel, AnswerBatch],
) -> None:
    stage, model, _ = made
    mixed = MixedStage(stage, VisionStage(stage.scenes, stage.held_out, 4), share=0.65)
    batches = [mixed.batch(model, np.random.default_rng(seed), np.random.default_rng(seed)) for seed in range(40)]
    tiles = [batch for batch in batches if not isinstance(batch, AnswerBatch)]
    assert 0.4 < len(tiles) / len(batches) < 0.9
    model.zero_grad()
    mixed.loss(model, Heads(model), tiles[0])[0].backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert any("vision_tower" in name for name in trained)
    assert not [name for name in trained if "language_model" in name]


@pytest.fixture(scope="module")
def phrases(made: tuple[AnswerStage, GarModel, AnswerBatch]) -> tuple[AnswerStage, GarModel, AnswerBatch]:
    """A batch that asks with phrases only."""
    stage, model, _ = made
    curriculum = Curriculum((0.0, 1.0), questions=40, focus=tuple(PHRASE_KINDS))
    asks = AnswerStage(stage.scenes, stage.held_out, stage.prompts, stage.tokens, 4, curriculum)
    return asks, model, asks.batch(model, np.random.default_rng(0), np.random.default_rng(1))


def test_the_words_of_phrases_are_where_they_stand(phrases: tuple[AnswerStage, GarModel, AnswerBatch]) -> None:
    stage, _, batch = phrases
    decode = stage.prompts._tokenizer.decode
    roles = set()
    words = value_words(batch.asked, batch.packed, batch.attributes, stage.states._ends)
    for row, place, role, has in words.tolist():
        question = batch.asked[row][int(batch.packed.segments[row, place])]
        word = decode([int(batch.packed.ids[row, place])]).strip()
        roles.add(role)
        assert word in question.text
        if word not in VALUES:  # the last piece of a synonym
            continue
        assert (has >= 0) == ("<Prompt" in question.text.split(word)[0])
        if question.kind == "describes_not" and f"not {word}" in question.text:
            assert role == 1
    assert {0, 1, 2} <= roles


def test_names_after_a_phrase_must_hold_what_it_asks(phrases: tuple[AnswerStage, GarModel, AnswerBatch]) -> None:
    stage, model, batch = phrases
    named = stage.states.named(batch)
    questions = stage.states._questions(batch, named)
    asked, described = wanted(questions, named.ordinals.tolist())
    kinds = [question.kind for question in questions]
    assert [kind.startswith("describes") for kind in kinds] == described.tolist()
    assert len(asked) == int(described.sum()) > 20 and bool((asked[:, 0] > 0).any())
    loss, numbers = stage.loss(model, Heads(model), batch)
    assert {"role", "wanted_colour", "wanted_foreign", "suits", "relation", "fitting"} <= set(numbers) and bool(
        loss.isfinite()
    )
