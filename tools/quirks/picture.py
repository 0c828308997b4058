# SPDX-License-Identifier: Apache-2.0
"""How far each oddity moves replay tokens, logits and answer on one picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tools.quirks.request import Float, Request, oddities


@dataclass(frozen=True)
class Effect:
    """Of one oddity. replay, logits: largest difference, of a replay value and of a logit of the first token.

    same: how many tokens of the greedy answer stay, from its first on, of how many.
    """

    name: str
    replay: float
    logits: float
    same: int
    tokens: int


def effects(usual: Request, size: tuple[int, int], question: str, tokens: int) -> Iterator[Effect]:
    """One an oddity. size: width and height of the image. tokens: length of the answer. Raises GarError."""
    logits, ids = usual.ask(question)[1].logits(), usual.write(question, tokens)
    for name, odd in oddities(usual, size):
        same = _common_start(ids, odd.write(question, tokens))
        moved = _largest(odd.ask(question)[1].logits(), logits)
        yield Effect(name, _largest(odd.replay, usual.replay), moved, same, len(ids))


def replay_range(usual: Request) -> tuple[float, float]:
    """Largest difference between the replay tokens of one region, and between those of two regions (0 for one)."""
    within = float(np.ptp(usual.replay, axis=1).max())
    between = float(np.ptp(usual.replay, axis=0).max())
    return within, between


def _largest(found: Float, expected: Float) -> float:
    return float(np.abs(found - expected).max())


def _common_start(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    differing = (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differing, min(len(one), len(other)))
