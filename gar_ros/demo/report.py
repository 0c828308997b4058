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
        self._title, self._table = "", Table(width)

    def open(self, title: str, answer: int = 10, names: tuple[str, str] = ("question", "answer")) -> None:
        """Begins a chapter. answer, names: see `Table`."""
        self._title, self._table = title, Table(self._width, answer, names)
        say("")
        self.tell(title)
        say("\n".join(self._table.header()))

    def row(self, row: Row, filmed: bool = True) -> None:
        """Prints a row. filmed: whether it belongs in the film. Raises GarError when no picture for that comes."""
        say("\n".join(self._table.lines(row)))
        if self._film is not None and filmed:
            self._film.answer(self._picture(), self._title, row)

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
