# SPDX-License-Identifier: Apache-2.0
"""Stage 2 with steps of stage 1 between: many cheap steps for the ViT, with the decoder kept on its features."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from gar_export.model import GarModel
from gar_export.train.answer_stage import AnswerStage
from gar_export.train.heads import Heads
from gar_export.train.states import AnswerBatch
from gar_export.train.vision_stage import TileBatch, VisionStage

ALL_MASKED = 0.3  # of the pictures, less often than in stage vision: most questions are about one masked region


class MixedStage:
    """A step in `share` is of `vision`, the others are of `answers`; evaluated as `answers`.

    A step of `vision` leaves the decoder alone and takes a quarter of the time.
    """

    name = "answers"

    def __init__(self, answers: AnswerStage, vision: VisionStage, share: float) -> None:
        self.answers, self.vision, self.share = answers, vision, share

    def batch(self, model: GarModel, plan: np.random.Generator, rng: np.random.Generator) -> TileBatch:
        """A random training batch; the stage is the same for all workers of a step."""
        stage = self.vision if plan.random() < self.share else self.answers
        return stage.batch(model, plan, rng)

    def loss(self, model: GarModel, heads: Heads, batch: TileBatch) -> tuple[Tensor, dict[str, float]]:
        """That of the batch's stage."""
        if isinstance(batch, AnswerBatch):
            return self.answers.loss(model, heads, batch)
        loss, numbers = self.vision.loss(model, heads, batch)
        return loss, {f"tile_{name}": value for name, value in numbers.items()}

    def evaluate(self, model: GarModel, heads: Heads) -> dict[str, float]:
        """Share of exactly right answers by question kind on held-out scenes."""
        return self.answers.evaluate(model, heads)
