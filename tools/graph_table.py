# SPDX-License-Identifier: Apache-2.0
"""What the probabilities of a scene graph are worth: `python -m tools.graph_table models/gar-tiny --scenes 200`.

Asks about all pairs of a scene's objects as the node's scene graph does. For each relation and each least probability
it prints how many of the listed relations are right, and how many of those that hold are listed. Of all pairs in a
scene few are inside or on top of each other, while half of the questions of `gar bench tabletop` have the answer yes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gar_ros.bench.tabletop import FIRST_SEED
from gar_ros.engine.engine import GarEngine
from gar_ros.memory.scene_graph import nearest_pairs, shared_prompts
from gar_ros.region import Region
from gar_ros.serving.requests import YES_NO
from gar_ros.sim.contact import UNCLEAR, YES
from gar_ros.sim.generate import random_scene
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.truth import scene_truth

RELATIONS = {
    "on top of": "on_top",
    "inside": "inside",
    "touching": "touching",
    "to the left of": "left_of",
    "in front of": "in_front",
}
"""Predicate, as the node's default has them -> relation of the simulator."""
OBJECTS = (3, 8)
LEAST = (0.5, 0.7, 0.9)
_ALL_PAIRS = OBJECTS[1] ** 2


class Scored(NamedTuple):
    """One question of a graph. probability: that it holds. holds: YES or NO."""

    predicate: str
    probability: float
    holds: int


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--scenes", type=int, default=200, help="(default: %(default)s)")
    arguments = parser.parse_args()
    engine = GarEngine.open(arguments.model, provider="cpu")
    with TabletopRenderer(640, 480) as renderer:
        seeds = range(FIRST_SEED, FIRST_SEED + arguments.scenes)
        print(table([one for seed in seeds for one in scored(engine, renderer, seed)]))


def scored(engine: GarEngine, renderer: TabletopRenderer, seed: int) -> Iterator[Scored]:
    """All questions about the scene of a seed whose answers the simulator is sure of."""
    scene = random_scene(seed, OBJECTS)
    picture = renderer.render(scene, depth=False)
    truth = scene_truth(scene, picture.labels)
    seen = np.flatnonzero(truth.askable)
    regions = {str(item): Region.from_mask(str(item), picture.labels == item + 1) for item in seen}
    pairs = nearest_pairs({name: region.box for name, region in regions.items()}, _ALL_PAIRS)
    for group in shared_prompts(pairs, engine.prompts.max_regions):
        frame = engine.encode(picture.rgb, [regions[name] for name in group.region_ids])
        for (subject, object_), predicate, text in group.questions(tuple(RELATIONS)):
            holds = int(truth.relations[RELATIONS[predicate]][int(subject), int(object_)])
            if holds != UNCLEAR:
                answer = frame.ask(text, YES_NO)
                yield Scored(predicate, answer.probabilities[0], holds)


def table(asked: Sequence[Scored]) -> str:
    """Markdown. A cell without anything to count is empty."""
    first, *further = [f"from {least:g} on" for least in LEAST]
    heads = ["relation", "pairs", "that hold", f"listed {first}: right, found", *further]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for predicate in RELATIONS:
        some = [one for one in asked if one.predicate == predicate]
        true = [one for one in some if one.holds == YES]
        cells = [predicate, str(len(some)), str(len(true))]
        for least in LEAST:
            listed = [one for one in some if one.probability >= least]
            found = sum(one.holds == YES for one in listed)
            cells.append(_shares(found, len(listed), len(true)) if listed and true else "")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shares(found: int, listed: int, true: int) -> str:
    return f"{100 * found / listed:.0f} %, {100 * found / true:.0f} %"


if __name__ == "__main__":
    main()
