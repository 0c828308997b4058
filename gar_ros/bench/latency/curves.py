# SPDX-License-Identifier: Apache-2.0
"""The curves of the picture, from what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gar_ros.bench.latency.rows import Results, Rounds, middle, seconds_a_token
from gar_ros.bench.latency.sides import LIMITS, RELEASED
from gar_ros.bench.latency.work import Measured

MOST_QUESTIONS = 10
"""So many questions about one frame are drawn."""

Points = list[tuple[float, float]]
"""From left to right."""
Curves = dict[str, Points]
"""By side."""


@dataclass(frozen=True)
class Panel:
    """Curves over one quantity. title: what is up, with its unit. across: what is to the right."""

    title: str
    across: str
    curves: Curves


def panels(results: Results) -> list[Panel]:
    """Cost by tiles, regions, questions a frame, history and generated tokens, as far as these were measured."""
    cases = list(results.of("question"))
    if not cases:
        return []
    fewest = min(case.regions for case, _ in cases)
    tiles = sorted({case.tiles for case, _ in cases})
    middle_first = sorted(tiles, key=lambda count: abs(tiles.index(count) - len(tiles) // 2))
    usual = max(middle_first, key=lambda count: sum(case.tiles == count for case, _ in cases))
    by_tiles, by_regions, history = _Growing(), _Growing(), _Growing()
    for case, sides in cases:
        for side, rounds in sides.items():
            if case.regions == fewest and side != LIMITS:
                by_tiles.add(side, rounds[0].counts["tiles"], first_answer(side, rounds))
                history.add(side, rounds[0].counts["prompt_tokens"], 1000 * seconds_a_token(side, rounds))
            if case.tiles == usual and side != LIMITS:
                by_regions.add(side, case.regions, first_answer(side, rounds))
    of_usual = next((sides for case, sides in cases if (case.tiles, case.regions) == (usual, fewest)), cases[0][1])
    return [
        Panel("first answer about a new frame, s", "tiles of the image in all", by_tiles.curves()),
        Panel("first answer about a new frame, s", "regions in the question", by_regions.curves()),
        Panel("all answers about one frame, s", "questions about the frame", _per_side(of_usual, _questions)),
        Panel("one token of the answer, ms", "tokens before it", history.curves()),
        Panel("a further answer, s after the question", "tokens of the answer", _per_side(of_usual, _tokens)),
    ]


class _Growing:
    """Curves that get points in any order."""

    def __init__(self) -> None:
        self._points: Curves = {}

    def add(self, side: str, at: float, value: float) -> None:
        """One more point, unless the value is unknown."""
        if not np.isnan(value):
            self._points.setdefault(side, []).append((at, value))

    def curves(self) -> Curves:
        """From left to right, the released way first."""
        return {side: sorted(self._points[side]) for side in sorted(self._points, key=_released_first)}


def _released_first(side: str) -> tuple[bool, str]:
    return side != RELEASED, side


def first_answer(side: str, rounds: Rounds) -> float:
    """Seconds to a whole answer about a frame that is new."""
    return middle(rounds, lambda one: one.marks["pass" if side == RELEASED else "first"][-1])


def _questions(side: str, rounds: Rounds) -> Points:
    """Seconds for 1, 2, .. questions; the released way asks each like the first."""
    first = first_answer(side, rounds)
    further = first if side == RELEASED else middle(rounds, lambda one: one.marks["further"][-1])
    return [(count, first + (count - 1) * further) for count in range(1, MOST_QUESTIONS + 1)]


def _tokens(side: str, rounds: Rounds) -> Points:
    """Seconds to each token of a question about a frame that was asked about."""
    marks = [one.marks["pass"][1:] if side == RELEASED else one.marks["further"] for one in rounds]
    return [(number, float(at)) for number, at in enumerate(np.median(marks, 0), 1)]


def _per_side(sides: dict[str, list[Measured]], curve: Callable[[str, Rounds], Points]) -> Curves:
    names = sorted(sides.keys() - {LIMITS}, key=_released_first)
    return {side: curve(side, sides[side]) for side in names}
