"""Accuracy of an exported model on fresh held-out scenes, through the runtime that a robot uses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gar_ros.engine.engine import EncodedFrame, GarEngine
from gar_ros.export.train.questions import CAPTION_FORM
from gar_ros.export.train.scenes import ATTRIBUTES
from gar_ros.region import Region
from gar_ros.sim.generate import random_scene
from gar_ros.sim.questions import Question, pick_regions, questions_for
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.truth import scene_truth

CAMERA = (640, 480)  # width, height in pixels, of the demo's camera
REGION_COUNTS = (1, 2, 3)
QUESTIONS = 8  # about one set of regions
CAPTION_TOKENS = 16
OPEN_CHANCE = 1 / float(np.prod([len(words) for words in ATTRIBUTES.values()]))


@dataclass(frozen=True)
class Score:
    """Of one kind of question. chance: mean share that blind guessing among the choices gets right."""

    right: int
    asked: int
    chance: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.asked


def evaluate(model_dir: Path, scenes: int, first_seed: int, threads: int = 1) -> dict[str, Score]:
    """Asks about `scenes` scenes from `first_seed` on; scores by kind of question."""
    results: dict[str, list[tuple[bool, float]]] = defaultdict(list)
    engine = GarEngine.open(model_dir, provider="cpu", threads=threads)
    with TabletopRenderer(*CAMERA) as renderer:
        for seed in range(first_seed, first_seed + scenes):
            for question, said in _answers(engine, renderer, seed):
                chance = 1 / len(question.choices) if question.choices else OPEN_CHANCE
                results[question.kind].append((said == question.answer, chance))
    return {
        kind: Score(sum(right for right, _ in pairs), len(pairs), float(np.mean([chance for _, chance in pairs])))
        for kind, pairs in sorted(results.items())
    }


def table(scores: dict[str, Score]) -> str:
    """The scores as a Markdown table."""
    rows = ["| question | accuracy | chance | asked |", "|---|---|---|---|"]
    rows += [
        f"| {kind} | {100 * one.accuracy:.1f} % | {100 * one.chance:.1f} % | {one.asked} |"
        for kind, one in scores.items()
    ]
    return "\n".join(rows)


def _answers(engine: GarEngine, renderer: TabletopRenderer, seed: int) -> Iterator[tuple[Question, str]]:
    """Questions about one scene, with one, two and three regions, and what the model says."""
    rng = np.random.default_rng(seed)
    scene = random_scene(seed)
    picture = renderer.render(scene, depth=False)
    truth = scene_truth(scene, picture.labels)
    for count in REGION_COUNTS:
        objects = pick_regions(truth, count, rng)
        if not objects:
            continue
        regions = [Region.from_mask(str(item), picture.labels == item + 1) for item in objects]
        frame = engine.encode(picture.rgb, regions)
        for question in questions_for(truth, objects, rng, QUESTIONS):
            yield question, frame.ask(question.text, question.choices, CAPTION_TOKENS).text
        if count == 1:
            yield from _caption(frame, questions_for(truth, objects, rng, 1, ("caption",)))


def _caption(frame: EncodedFrame, drawn: list[Question]) -> Iterator[tuple[Question, str]]:
    """The released caption request instead of a question."""
    for one in drawn:
        yield Question(CAPTION_FORM, one.text, one.regions, (), one.answer), frame.describe(CAPTION_TOKENS).text
