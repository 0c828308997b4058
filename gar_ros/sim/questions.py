# SPDX-License-Identifier: Apache-2.0
"""Questions about a scene with exact answers, for training, the bench and the demo."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from gar_ros.sim.contact import YES
from gar_ros.sim.phrase_kinds import PHRASE_KINDS
from gar_ros.sim.question_draft import Regions
from gar_ros.sim.question_kinds import KINDS
from gar_ros.sim.truth import SceneTruth

_PROMPT = re.compile(r"<Prompt\d+>")
# Tried in random order; relations that are repeated here mostly come first.
_INTERESTING = ("on_top", "inside") * 3 + ("touching", "same_colour", "same_shape")


@dataclass(frozen=True)
class Question:
    """A question about regions of one picture.

    regions: index of the object behind <Prompt0>, <Prompt1>, ... choices: the allowed answers, () when it is open.
    """

    kind: str
    text: str
    regions: tuple[int, ...]
    choices: tuple[str, ...]
    answer: str


def questions_for(
    truth: SceneTruth,
    region_indexes: Sequence[int],
    rng: np.random.Generator,
    count: int,
    kinds: Collection[str] | None = None,
) -> list[Question]:
    """At most `count` different questions about regions; fewer when there are no more.

    region_indexes: index of the object behind <Prompt0>, <Prompt1>, ... kinds: names from `KINDS` and
    `PHRASE_KINDS`, None for all of `KINDS`.

    Only objects that can be seen well enough are asked about. Raises ValueError for a kind that does not exist.
    """
    every = KINDS | PHRASE_KINDS
    unknown = set(kinds or ()) - set(every)
    if unknown:
        raise ValueError(f"expected kinds from {sorted(every)}, got {sorted(unknown)}")
    regions = Regions(truth, tuple(int(index) for index in region_indexes), rng)
    wanted = list(KINDS.values()) if kinds is None else [kind for name, kind in every.items() if name in kinds]
    usable = [kind for kind in wanted if kind.regions <= len(regions.objects)]
    first = [usable[i] for i in rng.permutation(len(usable))[:count]]
    again = [kind for kind in usable if not kind.once]
    later = [again[i] for i in rng.integers(len(again), size=5 * count)] if again else []
    found: dict[tuple[str, ...], Question] = {}
    for kind in first + later:
        draft = kind.make(regions) if len(found) < count else None
        if draft is not None:
            # One question for each kind and choice of regions, else answers with more wordings ("no, not red") win.
            # Phrases seldom come up twice.
            about = (kind.name, *([draft.text] if kind.name in PHRASE_KINDS else _PROMPT.findall(draft.text)))
            found.setdefault(about, Question(kind.name, draft.text, regions.objects, draft.choices, draft.answer))
    return list(found.values())


def pick_regions(truth: SceneTruth, count: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Indexes of `count` objects that can be asked about, in random order; () when there are fewer.

    Mostly two of them are stacked, inside, touching, or alike in colour or shape, if there are such.
    """
    visible = [int(index) for index in rng.permutation(np.flatnonzero(truth.askable))]
    if len(visible) < count:
        return ()
    if count >= 2 and rng.random() < 0.6:
        visible.sort(key=set(_interesting_pair(truth, rng)).__contains__, reverse=True)
    return tuple(int(index) for index in rng.permutation(visible[:count]))


def _interesting_pair(truth: SceneTruth, rng: np.random.Generator) -> tuple[int, ...]:
    both_seen = truth.askable[:, None] & truth.askable[None, :]
    for relation in rng.permutation(_INTERESTING):
        pairs = np.argwhere((truth.relations[relation] == YES) & both_seen)
        if len(pairs):
            return tuple(int(index) for index in pairs[rng.integers(len(pairs))])
    return ()
