# SPDX-License-Identifier: Apache-2.0
"""What is measured: pieces of work that every side does on the same frames, and what it tells of them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["question", "descriptions", "graph", "limits", "warm"]

KINDS: tuple[Kind, ...] = ("question", "descriptions", "graph")
"""What can be chosen. "question": a first and a further question, a choice and a question about other regions, for each
number of tiles and regions. "descriptions" and "graph": of a frame with many regions, as one request."""

QUESTION = "What is <Prompt0>?"
FURTHER = "What colour is <Prompt0>?"
CHOICES = ("red", "green", "blue", "yellow")
CHOICE_TOKENS = 2
"""Tokens that the released way generates for a choice: the option's letter, as its evaluation asks for, and the end."""
PREDICATES = ("on top of", "inside")
GRAPH_REGIONS = 6
DESCRIBED_REGIONS = 8


@dataclass(frozen=True)
class Case:
    """One kind of work at one number of tiles and regions. tiles: the most that the image may take, without the
    thumbnail. tokens: length of each free answer."""

    kind: Kind
    tiles: int
    regions: int
    tokens: int

    @property
    def name(self) -> str:
        """Unique among the cases of a run."""
        return f"{self.kind}-t{self.tiles}-r{self.regions}"


@dataclass(frozen=True)
class Work:
    """A case on one new frame. frame: by which number; no other work has the same, so no tile of it was seen before."""

    case: Case
    frame: int


@dataclass(frozen=True)
class Measured:
    """What one side tells of one piece of work.

    seconds: wall clock by step. marks: by answer, the seconds from the request to each of its tokens. peaks: the
    largest resident set in each step, bytes. counts: tiles, prompt tokens and the like.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    marks: dict[str, list[float]] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)


def work_of(case: Case, number: int) -> Work:
    """The case's work in the round of this number."""
    return Work(case, zlib.crc32(f"{case.name}/{number}".encode()))
