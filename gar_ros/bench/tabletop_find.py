# SPDX-License-Identifier: Apache-2.0
"""How often a model finds a thing by words among the regions of a scene, as the service `~/find_regions` asks it.

Every region is asked about alone, or with another one where the words name two, with the features of a picture in which
all regions are prompted. Candidates rank by the probability of yes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gar_ros.bench.tabletop_score import Result, calibration_error, wilson
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.region import Region
from gar_ros.serving.phrase import Phrase, Score
from gar_ros.sim.contact import NO, UNCLEAR, YES
from gar_ros.sim.generate import random_scene
from gar_ros.sim.phrase_kinds import related, relation_phrase
from gar_ros.sim.phrase_words import RELATION_WORDS
from gar_ros.sim.phrases import NounPhrase, Slot, noun_phrase, own_slots
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.scene import COLOURS, SHAPES
from gar_ros.sim.truth import SceneTruth, scene_truth

OBJECTS = 6
FOUND = 0.5  # probability from which a candidate counts as found
TRIES = 12  # to draw words that fit one candidate alone
SEARCHES = ("colour_shape", "phrase", "negation", "relation", "nothing_near", "nothing_foreign")


@dataclass(frozen=True)
class Search:
    """Words, and the candidates that are asked about. candidates: objects, each alone or as (first, second). fits:
    whether the words describe each, None where that isn't clear."""

    name: str
    words: str
    candidates: tuple[tuple[int, ...], ...]
    fits: tuple[bool | None, ...]

    @property
    def wanted(self) -> int | None:
        """The object to be found, None for none."""
        firsts = {candidate[0] for candidate, fits in zip(self.candidates, self.fits, strict=True) if fits}
        return firsts.pop() if len(firsts) == 1 else None


def searches(truth: SceneTruth, rng: np.random.Generator) -> Iterator[Search]:
    """One search of each of SEARCHES for which the scene has something that exactly one candidate is, or none."""
    for name in SEARCHES:
        makers = {"colour_shape": _colour_shape, "phrase": _any_phrase, "negation": _negation}
        for _ in range(TRIES):
            if name == "relation":
                search = _relation(truth, rng)
            elif name in makers:
                search = _alone(name, makers[name](truth, rng), truth, 1)
            else:
                search = _alone(name, (_near if name == "nothing_near" else _foreign)(truth, rng), truth, 0)
            if search is not None:
                yield search
                break


def _candidates(truth: SceneTruth) -> list[int]:
    return [int(index) for index in np.flatnonzero(truth.askable)]


def _alone(name: str, phrase: NounPhrase, truth: SceneTruth, fitting: int) -> Search | None:
    """The search for a phrase, None unless that many objects, all candidates, fit it."""
    there, objects = _candidates(truth), truth.scene.objects
    fits = tuple(phrase.fits(objects[index]) for index in there)
    if sum(phrase.fits(item) for item in objects) != fitting or sum(fits) != fitting:
        return None
    return Search(name, phrase.text, tuple((index,) for index in there), fits)


def _some_object(truth: SceneTruth, rng: np.random.Generator) -> int:
    there = _candidates(truth)
    return there[int(rng.integers(len(there)))]


def _colour_shape(truth: SceneTruth, rng: np.random.Generator) -> NounPhrase:
    item = truth.scene.objects[_some_object(truth, rng)]
    return noun_phrase((Slot("colour", item.colour), Slot("shape", item.shape)), rng)


def _any_phrase(truth: SceneTruth, rng: np.random.Generator) -> NounPhrase:
    return noun_phrase(own_slots(truth.scene.objects[_some_object(truth, rng)], rng), rng)


def _negation(truth: SceneTruth, rng: np.random.Generator) -> NounPhrase:
    item = truth.scene.objects[_some_object(truth, rng)]
    others = [other for other in truth.scene.objects if other.shape == item.shape and other.colour != item.colour]
    if not others:
        return noun_phrase((), rng)
    unwanted = others[int(rng.integers(len(others)))].colour
    return noun_phrase((Slot("shape", item.shape), Slot("colour", unwanted, wanted=False)), rng)


def _near(truth: SceneTruth, rng: np.random.Generator) -> NounPhrase:
    """A colour and a shape of the scene, or one of each that it lacks."""
    objects = truth.scene.objects
    colours = sorted({item.colour for item in objects}) if rng.random() < 0.7 else COLOURS
    shapes = sorted({item.shape for item in objects}) if rng.random() < 0.7 else SHAPES
    colour, shape = str(rng.choice(colours)), str(rng.choice(shapes))
    return noun_phrase((Slot("colour", colour), Slot("shape", shape)), rng)


def _foreign(truth: SceneTruth, rng: np.random.Generator) -> NounPhrase:
    return noun_phrase(own_slots(truth.scene.objects[_some_object(truth, rng)], rng), rng, foreign=True)


def _relation(truth: SceneTruth, rng: np.random.Generator) -> Search | None:
    """Colour and shape of two objects between which a random relation holds, if only one first object is meant."""
    there, objects = _candidates(truth), truth.scene.objects
    relation = str(rng.choice(tuple(RELATION_WORDS)))
    pairs = list(itertools.permutations(there, 2))
    holding = [pair for pair in pairs if related(truth, relation, *pair) == YES]
    if not holding:
        return None
    chosen = holding[int(rng.integers(len(holding)))]
    first, second = (
        noun_phrase((Slot("colour", item.colour), Slot("shape", item.shape)), rng)
        for item in (objects[index] for index in chosen)
    )
    fits = [_pair_fits(truth, relation, first, second, pair) for pair in pairs]
    search = Search("relation", relation_phrase(first, relation, second, rng), tuple(pairs), tuple(fits))
    unclear = any(one is None for one in fits)
    return None if unclear or search.wanted is None else search


def _pair_fits(
    truth: SceneTruth, relation: str, first: NounPhrase, second: NounPhrase, pair: tuple[int, int]
) -> bool | None:
    objects = truth.scene.objects
    if not (first.fits(objects[pair[0]]) and second.fits(objects[pair[1]])):
        return False
    return {YES: True, NO: False, UNCLEAR: None}[related(truth, relation, *pair)]


@dataclass(frozen=True)
class Found:
    """A search and its scores: of each region, or of each pair where the model takes the words for two objects."""

    search: Search
    scores: tuple[Score, ...]

    @property
    def counted(self) -> bool:
        """Whether the model knows if the words name one object or two."""
        return all(bool(score.other_id) == (self.search.name == "relation") for score in self.scores)

    @property
    def right(self) -> bool:
        """Whether the likeliest region is the wanted object, or none counts as found where there is none."""
        best = max(self.scores, key=lambda score: score.probability, default=None)
        if self.search.wanted is None:
            return best is None or best.probability < FOUND
        return best is not None and best.region_id == str(self.search.wanted)

    def answers(self) -> list[tuple[float, bool]]:
        """The probability of each candidate, and whether the words fit it; none where the words were miscounted."""
        fits = {
            tuple(map(str, objects)): fit for objects, fit in zip(self.search.candidates, self.search.fits, strict=True)
        }
        keys = [(score.region_id, score.other_id) if score.other_id else (score.region_id,) for score in self.scores]
        found = zip(keys, self.scores, strict=True)
        return [(score.probability, fit) for key, score in found if (fit := fits.get(key)) is not None]


def find_in_scene(
    engine: GarEngine, renderer: TabletopRenderer, seed: int, max_tiles: int | None = None
) -> Iterator[Found]:
    """All searches in the scene of a seed with OBJECTS objects, the same each time."""
    scene = random_scene(seed, (OBJECTS, OBJECTS))
    picture = renderer.render(scene, depth=False)
    truth = scene_truth(scene, picture.labels)
    there = _candidates(truth)
    if not there:
        return
    regions = [Region.from_mask(str(index), picture.labels == index + 1) for index in there]
    seen = engine.encode_image(picture.rgb, regions, max_tiles)

    def encode(some: Sequence[Region]) -> EncodedFrame:
        places = [regions.index(region) for region in some]
        return engine.from_features(
            seen.features, some, [seen.replay[place : place + 1] for place in places], seen.shared
        )

    for search in searches(truth, np.random.default_rng((seed, 2))):
        phrase = Phrase.parse(engine, search.words)
        if phrase.names_two(encode(regions[:1])):
            scores = phrase.score_pairs(encode, [region.id for region in regions], regions)
        else:
            scores = phrase.score_alone(encode, regions)
        yield Found(search, tuple(scores))


def find_summary(found: Sequence[Found]) -> dict[str, Any]:
    """`searches`: name -> share that is right, count, interval; `counted`: share of the words of which the model knows
    if they name one object or two; and the calibration error over all candidates."""
    rows = {}
    for name in SEARCHES:
        some = [one for one in found if one.search.name == name]
        if some:
            right = sum(one.right for one in some)
            rows[name] = {"right": right / len(some), "count": len(some), "interval": list(wilson(right, len(some)))}
    answers = [
        Result(one.search.name, "", (probability >= FOUND) == fits, 0.5, max(probability, 1 - probability))
        for one in found
        for probability, fits in one.answers()
    ]
    counted = sum(one.counted for one in found) / max(len(found), 1)
    return {"searches": rows, "counted": counted, "calibration_error": calibration_error(answers)}


def find_table(report: dict[str, Any]) -> str:
    """The summary as a Markdown table, percent."""
    lines = ["| search | right | 95 % interval | asked |", "|---|---|---|---|"]
    for name, row in report["searches"].items():
        low, high = row["interval"]
        lines.append(f"| {name} | {100 * row['right']:.1f} | {100 * low:.1f} to {100 * high:.1f} | {row['count']} |")
    counted = f"Words known to name one object or two: {100 * report['counted']:.1f} %"
    error = f"Expected calibration error of the candidates' probabilities: {report['calibration_error']:.3f}"
    return "\n".join([*lines, "", counted, "", error])
