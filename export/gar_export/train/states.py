# SPDX-License-Identifier: Apache-2.0
"""What the decoder's states must hold beside the answers, one step of the work in each layer, and the losses for it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from gar_export.train import phrase_targets
from gar_export.train.heads import (
    MENTIONED,
    PLACE,
    PROMPTS,
    Heads,
    alike_loss,
    class_loss,
    grid_loss,
    match_loss,
    patch_loss,
    place_loss,
    region_loss,
    suits_loss,
    wanted_loss,
)
from gar_export.train.packing import NO_LABEL, Packed
from gar_export.train.phrases import NO_RELATION
from gar_export.train.questions import CAPTION_FORM, asked_value, decided
from gar_export.train.scenes import ABSENT
from gar_export.train.vision_stage import TileBatch
from gar_ros.engine.model_dir.manifest import Tokens
from gar_ros.engine.prompt import PromptBuilder
from gar_ros.sim.questions import Question

LINK_LAYER = 0  # decoder layer after which a region's last crop token must know what and where the region is
NAME_LAYER = 1
"""After which a <PromptN> in a question must know what its region's crop tokens know, and the value that is asked
for."""
MENTION_LAYER = 2
"""After which a word must know whether it fits what it is compared with, a <PromptN> in what its region is like the
first, and the state that answers must hold the places of the regions that the question names."""
WEIGHTS = {
    "patch": 0.2,
    "region": 0.2,
    "grid": 1.0,
    "linked": 0.2,
    "named": 0.2,
    "linked_place": 1.0,
    "named_place": 1.0,
    "ordinal": 0.2,
    "asked": 0.2,
    "alike": 0.5,
    "match": 0.5,
    "role": 0.2,
    "wanted": 0.5,
    "suits": 0.5,
    "relation": 0.5,
    "fitting": 0.3,
    "holding": 0.5,
    "mentioned": 1.0,
    "placed": 1.0,
}  # of the losses beside the answers'

Parts = dict[str, tuple[Tensor, dict[str, float]]]
"""Loss and numbers for the log of each of WEIGHTS that applies."""


@dataclass(frozen=True)
class AnswerBatch(TileBatch):
    """The same with questions. prefix: int64 [P]. asked: the questions of each picture."""

    prefix: Tensor
    packed: Packed
    asked: list[list[Question]]


@dataclass(frozen=True)
class Forward:
    """What the losses read.

    answers [B, L, H]: last decoder states after the prefix. links [B, R, H], words, names and mentions [B, L, H]: of
    earlier layers. patches [B, n, D], features [B, g*g, H], replay [B, R, g*g, H].
    """

    answers: Tensor
    links: Tensor
    words: Tensor
    names: Tensor
    mentions: Tensor
    patches: Tensor
    features: Tensor
    replay: Tensor


@dataclass(frozen=True)
class Named:
    """Every <PromptN> in a question, in reading order, [n] each: picture, place after the prefix, region; the how
    manieth different region of its question it names; and the first of those. order: the different regions that a
    question, as (picture, number), names."""

    rows: Tensor
    at: Tensor
    regions: Tensor
    ordinals: Tensor
    first: Tensor
    order: dict[tuple[int, int], list[int]]


@dataclass(frozen=True)
class Mentions:
    """Picture and place after the prefix (rows, at: [n]) of the state that starts an answer, and the places of the
    regions its question names, NaN where there are none: in the order of mention [n, MENTIONED * PLACE] and by prompt
    number [n, PROMPTS * PLACE]."""

    rows: Tensor
    at: Tensor
    mentioned: Tensor
    placed: Tensor


class StateLosses:
    """The losses on states. With `frozen_vision` those on the ViT's are left out."""

    def __init__(self, prompts: PromptBuilder, tokens: Tokens, frozen_vision: bool) -> None:
        self.prompts, self.tokens, self.frozen_vision = prompts, tokens, frozen_vision
        self._ends = lru_cache(maxsize=200_000)(self._end_of)
        self._deciding = lru_cache(maxsize=200_000)(self._decide)

    def __call__(self, heads: Heads, states: Forward, batch: AnswerBatch) -> Parts:
        """All losses that apply to a batch."""
        parts = self._regions(heads, states, batch)
        words = phrase_targets.value_words(batch.asked, batch.packed, batch.attributes, self._ends)
        if len(words):
            rows, at, roles = words[:, :3].unbind(1)
            parts["role"] = class_loss(heads.role, states.words[rows, at], roles, "role")
        matches = torch.cat([self.matches(batch), words[words[:, 3] >= 0][:, [0, 1, 3]]])
        if len(matches):
            rows, at, fits = matches.unbind(1)
            parts["match"] = match_loss(heads.match, states.mentions[rows, at], fits.float())
        named = self.named(batch)
        if len(named.rows):
            parts |= self._names(heads, states, batch, named)
        if len(named.rows) and batch.places.shape[1] > 1:
            parts |= self._several(heads, states, batch, named)
        return parts

    def _regions(self, heads: Heads, states: Forward, batch: AnswerBatch) -> Parts:
        links, places = states.links, batch.places
        parts = {
            "linked": region_loss(heads.linked, links.unsqueeze(2), batch.attributes, None, "linked"),
            "linked_place": place_loss(heads.linked_place, links.flatten(0, 1), places.flatten(0, 1), "linked"),
        }
        if not self.frozen_vision:
            parts |= {
                "patch": patch_loss(heads.patch, states.patches, batch.patches),
                "region": region_loss(heads.region, states.replay, batch.attributes, places, "region"),
                "grid": grid_loss(heads.grid, states.features),
            }
        return parts

    def _names(self, heads: Heads, states: Forward, batch: AnswerBatch, named: Named) -> Parts:
        names = states.names[named.rows, named.at]
        attributes = batch.attributes[named.rows, named.regions, None]
        parts = {
            "named": region_loss(heads.named, names[:, None, None], attributes, None, "named"),
            "named_place": place_loss(heads.named_place, names, batch.places[named.rows, named.regions], "named"),
        }
        values = torch.tensor([asked_value(question) for question in self._questions(batch, named)])
        known = values != ABSENT
        if known.any():
            parts["asked"] = class_loss(heads.asked, names[known], values[known], "asked")
        wanted, described = phrase_targets.wanted(self._questions(batch, named), named.ordinals.tolist())
        if described.any():
            parts["wanted"] = wanted_loss(heads.wanted, names[described], wanted)
            suits, asked = phrase_targets.suits(wanted, attributes[described, 0])
            mentions = states.mentions[named.rows, named.at][described]
            parts["suits"] = suits_loss(heads.suits, mentions, suits, asked)
        return parts

    def _several(self, heads: Heads, states: Forward, batch: AnswerBatch, named: Named) -> Parts:
        """Losses of questions that name more than one region."""
        rows, at = named.rows, named.at
        parts = {"ordinal": class_loss(heads.ordinal, states.names[rows, at], named.ordinals, "ordinal")}
        later = named.ordinals > 0
        if later.any():
            own, other = batch.attributes[rows, named.regions], batch.attributes[rows, named.first]
            parts["alike"] = alike_loss(heads.alike, states.mentions[rows, at][later], (own == other)[later])
        known = self.mentioned(batch, named)
        if len(known.rows):
            answering = states.mentions[known.rows, known.at]
            parts["mentioned"] = place_loss(heads.mentioned, answering, known.mentioned, "mentioned")
            parts["placed"] = place_loss(heads.placed, answering, known.placed, "placed")
            parts |= self._phrases_of_two(heads, states, batch, named, known)
        return parts

    def _phrases_of_two(
        self, heads: Heads, states: Forward, batch: AnswerBatch, named: Named, known: Mentions
    ) -> Parts:
        """Losses of questions whose phrases name two things and what is between them."""
        keys = list(zip(known.rows.tolist(), batch.packed.segments[known.rows, known.at].tolist(), strict=True))
        asked = [batch.asked[row][number] for row, number in keys]
        between = phrase_targets.relations(asked)
        phrased = between != NO_RELATION
        if not phrased.any():
            return {}
        rows, at = known.rows[phrased], known.at[phrased]
        chosen = [index for index, one in enumerate(phrased.tolist()) if one]
        own = [batch.attributes[keys[index][0], named.order[keys[index]]] for index in chosen]
        fitting, holding = phrase_targets.verdicts([asked[index] for index in chosen], own)
        clear, answers = ~holding.isnan(), states.answers[rows, at]
        parts = {
            "relation": class_loss(heads.relation, states.mentions[rows, at], between[phrased], "relation"),
            "fitting": match_loss(heads.fitting, answers, fitting, "fitting"),
        }
        if clear.any():
            parts["holding"] = match_loss(heads.holding, answers[clear], holding[clear], "holding")
        return parts

    def matches(self, batch: AnswerBatch) -> Tensor:
        """int64 [n, 3]: picture and place after the prefix of every word that decides, and 1 where it fits, else 0."""
        count = batch.attributes.shape[1]
        segments = batch.packed.segments
        found = []
        for row, asked in enumerate(batch.asked):
            for number, question in enumerate(asked):
                start = int((segments[row] == number).nonzero()[0])
                places = self._deciding(question.kind, question.text, question.answer, count)
                found += [[row, start + place, int(fits)] for place, fits in places]
        return torch.tensor(found, dtype=torch.long).reshape(-1, 3)

    def _end_of(self, text: str, count: int) -> int:
        """Token, in the ids of a question that begins with `text`, of its last word."""
        after = len(self.prompts.question("?", count)) - len(self.prompts.choice("\n\n?"))  # the turn's end
        return len(self.prompts.question(text, count)) - after - 1

    def _decide(self, kind: str, text: str, answer: str, count: int) -> list[tuple[int, bool]]:
        """Token in the question's ids of every word that decides, and whether it fits."""
        if kind == CAPTION_FORM:
            return []
        return [(self._ends(text[:end], count), fits) for end, fits in decided(kind, text, answer)]

    def named(self, batch: AnswerBatch) -> Named:
        """The regions' names in the questions."""
        packed = batch.packed
        prompts = torch.tensor(self.tokens.prompts[: batch.attributes.shape[1]])
        which = packed.ids[..., None] == prompts
        rows, at, regions = (which & (packed.labels == NO_LABEL)[..., None]).nonzero(as_tuple=True)
        order: dict[tuple[int, int], list[int]] = defaultdict(list)
        ordinals, first = [], []
        segments = packed.segments[rows, at]
        for row, segment, number in zip(rows.tolist(), segments.tolist(), regions.tolist(), strict=True):
            found = order[row, segment]
            if number not in found:
                found.append(number)
            ordinals.append(found.index(number))
            first.append(found[0])
        return Named(rows, at, regions, torch.tensor(ordinals), torch.tensor(first), order)

    def _questions(self, batch: AnswerBatch, named: Named) -> list[Question]:
        """The question that each name is part of."""
        segments = batch.packed.segments[named.rows, named.at]
        return [batch.asked[row][number] for row, number in zip(named.rows.tolist(), segments.tolist(), strict=True)]

    def mentioned(self, batch: AnswerBatch, named: Named) -> Mentions:
        """What the states that start the answers must know of the regions that their questions name."""
        segments, labels = batch.packed.segments, batch.packed.labels
        before = torch.roll(labels, 1, 1)
        before[:, 0] = NO_LABEL
        same = torch.roll(segments, 1, 1) == segments
        starts = (labels != NO_LABEL) & ~((before != NO_LABEL) & same)
        start_of = {(int(row), int(segments[row, place])): int(place) for row, place in starts.nonzero().tolist()}
        keys = [key for key, regions in named.order.items() if len(regions) >= 2]
        mentioned = torch.full((len(keys), MENTIONED, PLACE), float("nan"))
        placed = torch.full((len(keys), PROMPTS, PLACE), float("nan"))
        for index, key in enumerate(keys):
            first = named.order[key][:MENTIONED]
            mentioned[index, : len(first)] = batch.places[key[0], first]
            placed[index, named.order[key]] = batch.places[key[0], named.order[key]]
        whole = torch.tensor([[key[0], start_of[key]] for key in keys], dtype=torch.long).reshape(-1, 2)
        return Mentions(whole[:, 0], whole[:, 1], mentioned.flatten(1), placed.flatten(1))
