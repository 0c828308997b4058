# SPDX-License-Identifier: Apache-2.0
"""How many answers of a model of the simulated tabletop, such as gar-tiny, each oddity makes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gar_ros.engine.engine import GarEngine
from gar_ros.sim.generate import random_scene
from gar_ros.sim.questions import Question, pick_regions, questions_for
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.truth import scene_truth
from tools.quirks.request import Request, oddities, usual_request

CAMERA = (640, 480)  # width, height in pixels, of the demo's camera
FIRST_SEED = 3_000_000  # gar-tiny is trained on seeds below 1,000,000
REGIONS = 3
QUESTIONS = 8  # about one set of regions
USUAL = "none"


@dataclass(frozen=True)
class Score:
    """right: answers that were true. changed: answers that differ from the usual request's."""

    right: int
    changed: int
    asked: int


def scores(engine: GarEngine, scenes: int) -> dict[str, Score]:
    """By oddity, the usual request first. Closed questions about three regions in each of so many scenes."""
    right: Counter[str] = Counter()
    changed: Counter[str] = Counter()
    asked = 0
    names: dict[str, None] = {}
    for usual, questions in _pictures(engine, scenes):
        requests = {USUAL: usual, **dict(oddities(usual, CAMERA))}
        names |= dict.fromkeys(requests)
        for question in questions:
            answers = {name: request.choose(question.text, question.choices) for name, request in requests.items()}
            asked += 1
            right.update(name for name, answer in answers.items() if answer == question.answer)
            changed.update(name for name, answer in answers.items() if answer != answers[USUAL])
    return {name: Score(right[name], changed[name], asked) for name in names}


def _pictures(engine: GarEngine, scenes: int) -> Iterator[tuple[Request, list[Question]]]:
    """Requests and their closed questions."""
    with TabletopRenderer(*CAMERA) as renderer:
        for seed in range(FIRST_SEED, FIRST_SEED + scenes):
            rng, scene = np.random.default_rng(seed), random_scene(seed)
            picture = renderer.render(scene, depth=False)
            truth = scene_truth(scene, picture.labels)
            objects = pick_regions(truth, REGIONS, rng)
            if objects:
                masks = [picture.labels == item + 1 for item in objects]
                questions = questions_for(truth, objects, rng, QUESTIONS)
                yield usual_request(engine, picture.rgb, masks), [one for one in questions if one.choices]
