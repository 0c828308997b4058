"""Stage 2: the decoder learns to answer questions about regions, several questions on one encoded picture."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gar_ros.engine.manifest import Tokens
from gar_ros.engine.prompt import PromptBuilder
from gar_ros.engine.replay import region_boxes, replay_weights
from gar_ros.export.model import GarModel
from gar_ros.export.train.heads import (
    MENTIONED,
    PLACE,
    PROMPTS,
    Heads,
    grid_loss,
    match_loss,
    ordinal_loss,
    patch_labels,
    patch_loss,
    place_loss,
    place_of,
    region_loss,
)
from gar_ros.export.train.packing import NO_LABEL, Example, Packed, answered, attention_mask, pack
from gar_ros.export.train.pixels import detector_mask, photographed
from gar_ros.export.train.questions import CAPTION_FORM, QuestionDrawer, decided
from gar_ros.export.train.scenes import WHOLE, Scenes
from gar_ros.sim.questions import Question

LINK_LAYER = 0  # decoder layer after which a region's last crop token must know what and where the region is
NAME_LAYER = 1  # after which a <PromptN> in a question must know what its region's crop tokens know
MENTION_LAYER = 2
"""After which a word must know whether it fits what it is compared with, and the state that answers must hold the
places of the regions that the question names."""
AUXILIARY = {
    "patch": 0.2,
    "region": 0.2,
    "grid": 1.0,
    "linked": 0.2,
    "named": 0.2,
    "linked_place": 1.0,
    "named_place": 1.0,
    "ordinal": 0.2,
    "match": 0.5,
    "mentioned": 1.0,
    "placed": 1.0,
}  # weights of the losses beside the answers'
VISUAL = ("patch", "region", "grid")
MASKS_CHANGED = 0.2
ALL_PROMPTED = 0.25  # of the pictures: every object's mask is prompted, as in a keyframe that regions share
CAPTION_SHARE = 0.3  # of the one-region batches, asked in the released caption form
EVALUATION_SHARES = (0.25, 0.4, 0.35)


@dataclass(frozen=True)
class Curriculum:
    """What is asked. region_shares: of batches with 1, 2, .. regions. focus: kinds that half of the questions are
    about."""

    region_shares: tuple[float, ...] = (0.2, 0.4, 0.3, 0.06, 0.04)
    questions: int = 12
    focus: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnswerBatch:
    """B pictures of one tile with R regions. pixels [B, 3, S, S], masks [B, 1, S, S], patches int64 [B, n, 4],
    attributes int64 [B, R, 4], places [B, R, PLACE], wy, wx [B, R, g, g]; prefix int64 [P]; asked: the questions of
    each picture."""

    pixels: Tensor
    masks: Tensor
    patches: Tensor
    attributes: Tensor
    places: Tensor
    wy: Tensor
    wx: Tensor
    prefix: Tensor
    packed: Packed
    asked: list[list[Question]]


@dataclass(frozen=True)
class Forward:
    """What the losses read.

    answers [B, L, H]: last decoder states after the prefix. links [B, R, H], names and mentions [B, L, H]: of earlier
    layers. patches [B, n, D], features [B, g*g, H], replay [B, R, g*g, H].
    """

    answers: Tensor
    links: Tensor
    names: Tensor
    mentions: Tensor
    patches: Tensor
    features: Tensor
    replay: Tensor


@dataclass(frozen=True)
class Mentions:
    """Picture and place after the prefix (rows, at: [n]) of the state that starts an answer, and the places of the
    regions its question names, NaN where there are none: in the order of mention [n, MENTIONED * PLACE] and by prompt
    number [n, PROMPTS * PLACE]."""

    rows: Tensor
    at: Tensor
    mentioned: Tensor
    placed: Tensor


class AnswerStage:
    """Batches, loss and evaluation of stage 2. With `frozen_vision` no gradient reaches ViT and projector."""

    name = "answers"

    def __init__(
        self,
        scenes: Scenes,
        held_out: Scenes,
        prompts: PromptBuilder,
        tokens: Tokens,
        batch: int,
        curriculum: Curriculum,
        frozen_vision: bool = False,
    ) -> None:
        self.scenes, self.held_out = scenes, held_out
        self.prompts, self.tokens = prompts, tokens
        self.batch_size, self.curriculum, self.frozen_vision = batch, curriculum, frozen_vision
        self.drawers = {id(part): QuestionDrawer(part) for part in (scenes, held_out)}
        self._ids = lru_cache(maxsize=200_000)(self._example)
        self._deciding = lru_cache(maxsize=200_000)(self._decide)

    def batch(self, model: GarModel, plan: np.random.Generator, rng: np.random.Generator) -> AnswerBatch:
        """A random training batch; the number of regions and the form are the same for all pictures of a step."""
        count = 1 + int(plan.choice(len(self.curriculum.region_shares), p=self.curriculum.region_shares))
        drawer = self.drawers[id(self.scenes)]
        indexes = rng.choice(drawer.with_regions(count), self.batch_size)
        caption = count == 1 and plan.random() < CAPTION_SHARE
        return self._batch(model, self.scenes, indexes, count, caption, rng, augment=True)

    def loss(self, model: GarModel, heads: Heads, batch: AnswerBatch) -> tuple[Tensor, dict[str, float]]:
        """Answers' cross entropy and the auxiliary losses."""
        states = self._forward(model, batch)
        targets = batch.packed.labels
        rows = targets != NO_LABEL
        logits = model.head(states.answers[rows])
        answer = F.cross_entropy(logits, targets[rows])
        parts = self._auxiliary(heads, states, batch)
        total = answer + sum(AUXILIARY[name] * loss for name, (loss, _) in sorted(parts.items()))
        token_accuracy = (logits.argmax(-1) == targets[rows]).float().mean().item()
        numbers = {"answer_loss": answer.item(), "tokens": token_accuracy}
        for _, more in parts.values():
            numbers |= more
        return total, numbers

    def _auxiliary(
        self, heads: Heads, states: Forward, batch: AnswerBatch
    ) -> dict[str, tuple[Tensor, dict[str, float]]]:
        """Loss and numbers of each of AUXILIARY that applies."""
        parts = {
            "linked": region_loss(heads.linked, states.links.unsqueeze(2), batch.attributes, None, "linked"),
            "linked_place": place_loss(
                heads.linked_place, states.links.flatten(0, 1), batch.places.flatten(0, 1), "linked"
            ),
        }
        if not self.frozen_vision:
            parts |= {
                "patch": patch_loss(heads.patch, states.patches, batch.patches),
                "region": region_loss(heads.region, states.replay, batch.attributes, batch.places, "region"),
                "grid": grid_loss(heads.grid, states.features),
            }
        rows, at, region = self._named(batch)
        if len(rows):
            names = states.names[rows, at]
            attributes = batch.attributes[rows, region, None]
            parts["named"] = region_loss(heads.named, names[:, None, None], attributes, None, "named")
            parts["named_place"] = place_loss(heads.named_place, names, batch.places[rows, region], "named")
        matches = self._matches(batch)
        if len(matches):
            rows_, at_, fits = matches[:, 0], matches[:, 1], matches[:, 2]
            parts["match"] = match_loss(heads.match, states.mentions[rows_, at_], fits.float())
        if batch.places.shape[1] > 1 and len(rows):
            ordinals = _ordinals(rows, batch.packed.segments[rows, at], region)
            parts["ordinal"] = ordinal_loss(heads.ordinal, states.names[rows, at], ordinals)
            known = self._mentioned(batch, rows, at, region)
            if len(known.rows):
                answering = states.mentions[known.rows, known.at]
                parts["mentioned"] = place_loss(heads.mentioned, answering, known.mentioned, "mentioned")
                parts["placed"] = place_loss(heads.placed, answering, known.placed, "placed")
        return parts

    def _matches(self, batch: AnswerBatch) -> Tensor:
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

    def _decide(self, kind: str, text: str, answer: str, count: int) -> list[tuple[int, bool]]:
        """Token in the question's ids of every word that decides, and whether it fits."""
        if kind == CAPTION_FORM:
            return []
        after = len(self.prompts.question("?", count)) - len(self.prompts.choice("\n\n?"))  # the turn's end
        return [
            (len(self.prompts.question(text[:end], count)) - after - 1, fits)
            for end, fits in decided(kind, text, answer)
        ]

    def _named(self, batch: AnswerBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Picture, place after the prefix and region of every <PromptN> in a question, in their order."""
        prompts = torch.tensor(self.tokens.prompts[: batch.attributes.shape[1]])
        which = batch.packed.ids[..., None] == prompts
        rows, at, region = (which & (batch.packed.labels == NO_LABEL)[..., None]).nonzero(as_tuple=True)
        return rows, at, region

    def _mentioned(self, batch: AnswerBatch, rows: Tensor, at: Tensor, region: Tensor) -> Mentions:
        """What the states that start the answers must know of the regions that their questions name."""
        segments, labels = batch.packed.segments, batch.packed.labels
        before = torch.roll(labels, 1, 1)
        before[:, 0] = NO_LABEL
        same = torch.roll(segments, 1, 1) == segments
        starts = (labels != NO_LABEL) & ~((before != NO_LABEL) & same)
        start_of = {(int(row), int(segments[row, place])): int(place) for row, place in starts.nonzero().tolist()}
        named: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, place, number in zip(rows.tolist(), at.tolist(), region.tolist(), strict=True):
            found = named[row, int(segments[row, place])]
            if number not in found:
                found.append(number)
        keys = [key for key, numbers in named.items() if len(numbers) >= 2]
        mentioned = torch.full((len(keys), MENTIONED, PLACE), float("nan"))
        placed = torch.full((len(keys), PROMPTS, PLACE), float("nan"))
        for index, key in enumerate(keys):
            first = named[key][:MENTIONED]
            mentioned[index, : len(first)] = batch.places[key[0], first]
            placed[index, named[key]] = batch.places[key[0], named[key]]
        whole = torch.tensor([[key[0], start_of[key]] for key in keys], dtype=torch.long).reshape(-1, 2)
        return Mentions(whole[:, 0], whole[:, 1], mentioned.flatten(1), placed.flatten(1))

    @torch.no_grad()
    def evaluate(self, model: GarModel, heads: Heads, pictures: int = 200) -> dict[str, float]:
        """Share of exactly right answers by question kind on held-out scenes, masks as they are."""
        right: dict[str, list[bool]] = defaultdict(list)
        rng = np.random.default_rng(0)
        drawer = self.drawers[id(self.held_out)]
        for count, share in enumerate(EVALUATION_SHARES, 1):
            usable = drawer.with_regions(count)[: max(8, int(share * pictures))]
            for indexes in np.array_split(usable, max(1, len(usable) // 8)):
                for caption in (False, True) if count == 1 else (False,):
                    batch = self._batch(model, self.held_out, indexes, count, caption, rng, augment=False)
                    predicted = model.head(self._forward(model, batch).answers).argmax(-1)
                    results = answered(predicted, batch.packed, [len(asked) for asked in batch.asked])
                    for asked, correct in zip(batch.asked, results, strict=True):
                        for question, hit in zip(asked, correct, strict=True):
                            right[question.kind].append(hit)
        everything = [hit for hits in right.values() for hit in hits]
        return {"all": _share(everything), **{kind: _share(hits) for kind, hits in sorted(right.items())}}

    def _forward(self, model: GarModel, batch: AnswerBatch) -> Forward:
        pictures = len(batch.asked)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_vision):
            patches = model.encode_patches(batch.pixels, batch.masks)
            features = model.project(patches)
        tiles = features[:, None]
        replay = model.replay(tiles, WHOLE, batch.wy, batch.wx)
        prefix = batch.prefix.expand(pictures, -1)
        embeddings = torch.cat([model.splice(prefix, tiles, replay), model.embed(batch.packed.ids)], 1)
        length = prefix.shape[1]
        positions = torch.cat([torch.arange(length).expand(pictures, -1), batch.packed.positions], 1)
        with _kept_outputs(model, (LINK_LAYER, NAME_LAYER, MENTION_LAYER)) as kept:
            hidden = model.hidden_states(embeddings, positions, attention_mask(batch.packed.segments, length))
        return Forward(
            answers=hidden[:, length:],
            links=kept[LINK_LAYER][:, _last_crops(batch.prefix, model.config.crop_tokens)],
            names=kept[NAME_LAYER][:, length:],
            mentions=kept[MENTION_LAYER][:, length:],
            patches=patches,
            features=features,
            replay=replay,
        )

    def _batch(
        self,
        model: GarModel,
        scenes: Scenes,
        indexes: NDArray[np.int64],
        count: int,
        caption: bool,
        rng: np.random.Generator,
        augment: bool,
    ) -> AnswerBatch:
        drawer, config = self.drawers[id(scenes)], model.config
        pixels, masks, patches, attributes, places, boxes, asked = [], [], [], [], [], [], []
        for scene in indexes:
            objects = drawer.regions(scene, count, rng)
            labels = scenes.labels[scene]
            regions = [detector_mask(labels == item + 1, rng, MASKS_CHANGED if augment else 0.0) for item in objects]
            tile = scenes.tiles[scene]
            pixels.append(photographed(tile, rng) if augment else tile.astype(np.float32))
            everything = augment and rng.random() < ALL_PROMPTED
            masks.append((labels > 0)[None] if everything else np.logical_or.reduce(regions)[None])
            patches.append(patch_labels(labels, scenes.attributes[scene], config.patch))
            attributes.append(scenes.attributes[scene, list(objects)])
            places.append(
                [place_of(mask, scenes.depths[scene, item]) for mask, item in zip(regions, objects, strict=True)]
            )
            boxes.append(region_boxes(regions))
            if caption:
                asked.append(drawer.caption(scene, objects, rng))
            else:
                asked.append(drawer.draw(scene, objects, self.curriculum.questions, rng, self.curriculum.focus))
        wy, wx = replay_weights(np.concatenate(boxes), WHOLE, config.grid, config.roi_convention)
        prefix = self.prompts.prefix("caption" if caption else "question", 1, count)
        examples = [[self._ids(one.kind, one.text, one.answer, count) for one in questions] for questions in asked]
        return AnswerBatch(
            pixels=torch.from_numpy(np.stack(pixels)) / 127.5 - 1,
            masks=torch.from_numpy(np.stack(masks)).float(),
            patches=torch.from_numpy(np.stack(patches)),
            attributes=torch.from_numpy(np.array(attributes, np.int64)),
            places=torch.from_numpy(np.array(places, np.float32)),
            wy=torch.from_numpy(wy).unflatten(0, (len(indexes), count)),
            wx=torch.from_numpy(wx).unflatten(0, (len(indexes), count)),
            prefix=torch.tensor(prefix),
            packed=pack(examples, len(prefix)),
            asked=asked,
        )

    def _example(self, kind: str, text: str, answer: str, count: int) -> Example:
        question = self.prompts.caption_request() if kind == CAPTION_FORM else self.prompts.question(text, count)
        return question, [*self.prompts.choice(answer), self.tokens.eos[0]]


@contextmanager
def _kept_outputs(model: GarModel, layers: tuple[int, ...]) -> Iterator[dict[int, Tensor]]:
    """Collects the outputs [B, S, H] of decoder layers while it is open."""
    kept: dict[int, Tensor] = {}
    blocks = model.mllm.model.language_model.layers
    hooks = [blocks[i].register_forward_hook(lambda _, __, output, i=i: kept.update({i: output})) for i in layers]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def _last_crops(prefix: Tensor, crop_tokens: tuple[int, ...]) -> Tensor:
    """Places in the prefix of each region's last crop token, in the order of the regions."""
    ends = [int((prefix == token).nonzero().max()) for token in crop_tokens if bool((prefix == token).any())]
    return torch.tensor(ends)


def _ordinals(rows: Tensor, segments: Tensor, region: Tensor) -> Tensor:
    """int64 [n]: of each <PromptN> (picture, question, region: [n] in reading order), the how manieth different region
    of its question it names."""
    named: dict[tuple[int, int], list[int]] = defaultdict(list)
    ordinals = []
    for row, segment, number in zip(rows.tolist(), segments.tolist(), region.tolist(), strict=True):
        found = named[row, segment]
        if number not in found:
            found.append(number)
        ordinals.append(found.index(number))
    return torch.tensor(ordinals, dtype=torch.long)


def _share(hits: list[bool]) -> float:
    return round(float(np.mean(hits)), 3)
