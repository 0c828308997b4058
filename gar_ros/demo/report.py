# SPDX-License-Identifier: Apache-2.0
"""What the demo's planner prints of its questions, and films where it is asked to."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gar_ros.demo.film import Film
from gar_ros.demo.table import Row, Table


class Report:
    """Chapters of rows, told within a width."""

    def __init__(self, width: int, film: Film | None, picture: Callable[[], NDArray[np.uint8]]) -> None:
        """width: of each line, characters. picture: returns an overlay (H, W, 3) RGB of now; for the film."""
        self._width, self._film, self._picture = width, film, picture
        self._title, self._table, self._to_film = "", Table(width), 0

    def open(
        self, title: str, answer: int = 10, names: tuple[str, str] = ("question", "answer"), filmed: int = 0
    ) -> None:
        """Begins a chapter. answer, names: see `Table`. filmed: number of its first rows that belong in the film."""
        self._title, self._table, self._to_film = title, Table(self._width, answer, names), filmed
        say("")
        self.tell(title)
        say("\n".join(self._table.header()))

    def row(self, row: Row, filmed: bool = False) -> None:
        """Prints a row. filmed: whether to film it even when enough were. Raises GarError when no picture comes."""
        say("\n".join(self._table.lines(row)))
        if self._film is not None and (filmed or self._to_film > 0):
            self._film.answer(self._picture(), self._title, row)
        self._to_film -= 1

    def facts(self, rows: Sequence[Row]) -> None:
        """Prints the rows of a scene graph, which are filmed together. Raises GarError as `row`."""
        for row in rows:
            say("\n".join(self._table.lines(row)))
        if self._film is not None:
            self._film.facts(self._picture(), self._title, rows)

    def tell(self, text: str) -> None:
        """Prints a text within the width."""
        say(textwrap.fill(text, self._width, subsequent_indent="  "))


def say(text: str) -> None:
    """Prints at once, also into a pipe."""
    print(text, flush=True)
