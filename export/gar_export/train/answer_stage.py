# SPDX-License-Identifier: Apache-2.0
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

from gar_export.model import GarModel
from gar_export.train.heads import Heads, patch_labels, place_of
from gar_export.train.packing import NO_LABEL, Example, answered, attention_mask, pack
from gar_export.train.pixels import detector_mask, photographed
from gar_export.train.questions import CAPTION_FORM, QuestionDrawer
from gar_export.train.scenes import WHOLE, Scenes
from gar_export.train.states import (
    LINK_LAYER,
    MENTION_LAYER,
    NAME_LAYER,
    WEIGHTS,
    AnswerBatch,
    Forward,
    StateLosses,
)
from gar_ros.engine.model_dir.manifest import Tokens
from gar_ros.engine.prompt import PromptBuilder
from gar_ros.engine.replay import mask_boxes, replay_weights

MASKS_CHANGED = 0.2
ALL_PROMPTED = 0.25  # of the pictures
CAPTION_SHARE = 0.3  # of the one-region batches, asked in the released caption form
EVALUATION_SHARES = (0.25, 0.4, 0.35)
ABLATIONS = ("replay", "mask", "boxes")
"""What a model is trained without: replay tokens (they are zero), the mask embedding, true boxes for the replay (it has
those of the released code)."""


@dataclass(frozen=True)
class Curriculum:
    """What is asked.

    region_shares: of batches with 1, 2, .. regions. focus: kinds that half of the questions are about;
    focus_of_several: instead, where there are several regions. all_prompted: share of the pictures in which every
    object's mask is prompted, as in a keyframe that regions share.
    """

    region_shares: tuple[float, ...] = (0.2, 0.4, 0.3, 0.06, 0.04)
    questions: int = 12
    focus: tuple[str, ...] = ()
    focus_of_several: tuple[str, ...] = ()
    all_prompted: float = ALL_PROMPTED


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
        without: str = "",
    ) -> None:
        """without: one of ABLATIONS that the model has to do without; "boxes" is the configuration's part."""
        self.scenes, self.held_out = scenes, held_out
        self.prompts, self.tokens = prompts, tokens
        self.batch_size, self.curriculum, self.frozen_vision = batch, curriculum, frozen_vision
        self.drawers = {id(part): QuestionDrawer(part) for part in (scenes, held_out)}
        self._ids = lru_cache(maxsize=200_000)(self._example)
        self.without = without
        self.states = StateLosses(prompts, tokens, frozen_vision)

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
        parts = self.states(heads, states, batch)
        total = answer + sum(WEIGHTS[name] * loss for name, (loss, _) in sorted(parts.items()))
        token_accuracy = (logits.argmax(-1) == targets[rows]).float().mean().item()
        numbers = {"answer_loss": answer.item(), "tokens": token_accuracy}
        for _, more in parts.values():
            numbers |= more
        return total, numbers

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
            words=kept[LINK_LAYER][:, length:],
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
            everything = augment and rng.random() < self.curriculum.all_prompted
            union = labels > 0 if everything else np.logical_or.reduce(regions)
            masks.append(np.zeros_like(union)[None] if self.without == "mask" else union[None])
            patches.append(patch_labels(labels, scenes.attributes[scene], config.patch))
            attributes.append(scenes.attributes[scene, list(objects)])
            places.append(
                [place_of(mask, scenes.depths[scene, item]) for mask, item in zip(regions, objects, strict=True)]
            )
            boxes.append(mask_boxes(regions))
            focus = (count > 1 and self.curriculum.focus_of_several) or self.curriculum.focus
            if caption:
                asked.append(drawer.caption(scene, objects, rng))
            else:
                asked.append(drawer.draw(scene, objects, self.curriculum.questions, rng, focus))
        wy, wx = replay_weights(np.concatenate(boxes), WHOLE, config.grid, config.roi_convention)
        if self.without == "replay":
            wy = np.zeros_like(wy)
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


def _share(hits: list[bool]) -> float:
    return round(float(np.mean(hits)), 3)
