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
from gar_ros.export.train.heads import Heads, grid_loss, patch_labels, patch_loss, place_of, region_loss
from gar_ros.export.train.packing import NO_LABEL, Example, Packed, answered, attention_mask, pack
from gar_ros.export.train.pixels import camera_noise, detector_mask
from gar_ros.export.train.questions import CAPTION_FORM, QuestionDrawer
from gar_ros.export.train.scenes import GRID, Scenes, split_canvas
from gar_ros.sim.questions import Question

LINK_LAYER = 1  # decoder layer (from 0) after which a region's last crop token must know its place in the picture
NAME_LAYER = 2  # after which a <PromptN> in the question must know what its region's crop tokens know
AUXILIARY = {
    "patch": 0.2,
    "region": 0.2,
    "grid": 2.0,
    "linked": 0.4,
    "named": 0.4,
}  # weights of the losses beside the answers'
MASKS_CHANGED = 0.2
CAPTION_SHARE = 0.3  # of the one-region batches, asked in the released caption form


@dataclass(frozen=True)
class Curriculum:
    """What is asked. region_shares: of batches with 1, 2, .. regions. single_tile: share of batches whose picture is
    one tile and the same as thumbnail, as with max_tiles 1. focus: kinds that half of the questions are about."""

    region_shares: tuple[float, ...] = (0.2, 0.35, 0.3, 0.1, 0.05)
    questions: int = 10
    single_tile: float = 0.2
    focus: tuple[str, ...] = ()


@dataclass(frozen=True)
class AnswerBatch:
    """B pictures of T tiles with R regions. pixels [B * T, 3, S, S], masks [B * T, 1, S, S], patches int64 [B * T, n,
    4], attributes int64 [B, R, 4], places [B, R, PLACE], wy, wx [B, R, g, g * tiles]; prefix int64 [P]; asked: the
    questions of each picture."""

    grid: tuple[int, int]
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

    answers [B, L, H]: last decoder states after the prefix. links [B, R, 1, H], names [B, L, H]: of earlier layers.
    patches [B * T, n, D], features [B * T, g*g, H], replay [B, R, g*g, H].
    """

    answers: Tensor
    links: Tensor
    names: Tensor
    patches: Tensor
    features: Tensor
    replay: Tensor


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

    def batch(self, model: GarModel, plan: np.random.Generator, rng: np.random.Generator) -> AnswerBatch:
        """A random training batch; regions, tiles and form are the same for all pictures of a step."""
        count = 1 + int(plan.choice(len(self.curriculum.region_shares), p=self.curriculum.region_shares))
        single = plan.random() < self.curriculum.single_tile
        drawer = self.drawers[id(self.scenes)]
        indexes = rng.choice(drawer.with_regions(count), self.batch_size)
        caption = count == 1 and plan.random() < CAPTION_SHARE
        return self._batch(model, self.scenes, indexes, count, single, caption, rng, augment=True)

    def loss(self, model: GarModel, heads: Heads, batch: AnswerBatch) -> tuple[Tensor, dict[str, float]]:
        """Answers' cross entropy and the auxiliary losses."""
        states = self._forward(model, batch)
        targets = batch.packed.labels
        rows = targets != NO_LABEL
        logits = model.head(states.answers[rows])
        answer = F.cross_entropy(logits, targets[rows])
        parts = {
            "patch": patch_loss(heads.patch, states.patches, batch.patches),
            "region": region_loss(heads.region, states.replay, batch.attributes, None, "region"),
            "grid": grid_loss(heads.grid, states.features),
            "linked": region_loss(heads.linked, states.links, batch.attributes, batch.places, "linked"),
        }
        if len(named := self._named(batch)):
            tokens = states.names[named[:, 0], named[:, 1], None, None]
            attributes, places = (one[named[:, 0], named[:, 2], None] for one in (batch.attributes, batch.places))
            parts["named"] = region_loss(heads.named, tokens, attributes, places, "named")
        counted = set(parts) - ({"patch", "region", "grid"} if self.frozen_vision else set())
        total = answer + sum(AUXILIARY[name] * parts[name][0] for name in sorted(counted))
        token_accuracy = (logits.argmax(-1) == targets[rows]).float().mean().item()
        numbers = {"answer_loss": answer.item(), "tokens": token_accuracy}
        for _, more in parts.values():
            numbers |= more
        return total, numbers

    def _named(self, batch: AnswerBatch) -> Tensor:
        """int64 [n, 3]: picture, place after the prefix and region of every <PromptN> in a question."""
        found = [
            torch.cat(
                [
                    (batch.packed.ids == token).nonzero(),
                    torch.full((int((batch.packed.ids == token).sum()), 1), region),
                ],
                1,
            )
            for region, token in enumerate(self.tokens.prompts[: batch.attributes.shape[1]])
        ]
        return torch.cat(found)

    @torch.no_grad()
    def evaluate(self, model: GarModel, heads: Heads, pictures: int = 120) -> dict[str, float]:
        """Share of exactly right answers by question kind on held-out scenes, 2 x 2 tiles, masks as they are."""
        right: dict[str, list[bool]] = defaultdict(list)
        rng = np.random.default_rng(0)
        drawer = self.drawers[id(self.held_out)]
        shares = (0.2, 0.35, 0.35, 0.05, 0.05)
        for count, share in enumerate(shares, 1):
            usable = drawer.with_regions(count)[: max(8, int(share * pictures))]
            for indexes in np.array_split(usable, max(1, len(usable) // 8)):
                for caption in (False, True) if count == 1 else (False,):
                    batch = self._batch(model, self.held_out, indexes, count, False, caption, rng, augment=False)
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
            patches, features = _encode(model, batch)
        tiles = features.unflatten(0, (pictures, -1))
        replay = model.replay(tiles[:, 1:], batch.grid, batch.wy, batch.wx)
        prefix = batch.prefix.expand(pictures, -1)
        embeddings = torch.cat([model.splice(prefix, tiles, replay), model.embed(batch.packed.ids)], 1)
        length = prefix.shape[1]
        positions = torch.cat([torch.arange(length).expand(pictures, -1), batch.packed.positions], 1)
        with _kept_outputs(model, (LINK_LAYER, NAME_LAYER)) as kept:
            hidden = model.hidden_states(embeddings, positions, attention_mask(batch.packed.segments, length))
        return Forward(
            answers=hidden[:, length:],
            links=kept[LINK_LAYER][:, _last_crops(batch.prefix, model.config.crop_tokens)].unsqueeze(2),
            names=kept[NAME_LAYER][:, length:],
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
        single: bool,
        caption: bool,
        rng: np.random.Generator,
        augment: bool,
    ) -> AnswerBatch:
        grid = (1, 1) if single else GRID
        drawer = self.drawers[id(scenes)]
        pixels, masks, patches, attributes, places, boxes, asked = [], [], [], [], [], [], []
        for scene in indexes:
            objects = drawer.regions(scene, count, rng)
            regions = [
                detector_mask(scenes.labels[scene] == item + 1, rng, MASKS_CHANGED if augment else 0.0)
                for item in objects
            ]
            tiles = tiles_of(scenes.thumbnails[scene], scenes.canvases[scene], single)
            labels = tiles_of(scenes.labels[scene, ::2, ::2][None], scenes.labels[scene][None], single)[:, 0]
            union = np.logical_or.reduce(regions)
            pixels.append(camera_noise(tiles, rng) if augment else tiles.astype(np.float32))
            masks.append(tiles_of(union[::2, ::2][None], union[None], single))
            patches.append(patch_labels(labels, scenes.attributes[[scene] * len(tiles)], model.config.patch))
            attributes.append(scenes.attributes[scene, list(objects)])
            places.append(
                [place_of(mask, scenes.depths[scene, item]) for mask, item in zip(regions, objects, strict=True)]
            )
            boxes.append(region_boxes(regions))
            if caption:
                asked.append(drawer.caption(scene, objects, rng))
            else:
                asked.append(drawer.draw(scene, objects, self.curriculum.questions, rng, self.curriculum.focus))
        wy, wx = replay_weights(np.concatenate(boxes), grid, model.config.grid, model.config.roi_convention)
        prefix = self.prompts.prefix("caption" if caption else "question", len(pixels[0]), count)
        examples = [[self._ids(one.kind, one.text, one.answer, count) for one in questions] for questions in asked]
        return AnswerBatch(
            grid=grid,
            pixels=torch.from_numpy(np.concatenate(pixels)) / 127.5 - 1,
            masks=torch.from_numpy(np.concatenate(masks)).float(),
            patches=torch.from_numpy(np.concatenate(patches)),
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


def tiles_of(thumbnail: NDArray, canvas: NDArray, single: bool) -> NDArray:
    """(T, C, S, S): thumbnail (C, S, S) and the canvas's tiles; with `single` the thumbnail twice, as for a picture
    of one tile."""
    if single:
        return np.stack([thumbnail, thumbnail])
    return np.concatenate([thumbnail[None], split_canvas(canvas[None])[0]])


def _encode(model: GarModel, batch: AnswerBatch) -> tuple[Tensor, Tensor]:
    """Patches and features of all tiles; a picture of one tile, equal to its thumbnail, is encoded once."""
    if batch.grid != (1, 1):
        patches = model.encode_patches(batch.pixels, batch.masks)
        return patches, model.project(patches)
    patches = model.encode_patches(batch.pixels[::2], batch.masks[::2]).repeat_interleave(2, 0)
    return patches, model.project(patches[::2]).repeat_interleave(2, 0)


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


def _share(hits: list[bool]) -> float:
    return round(float(np.mean(hits)), 3)
