# SPDX-License-Identifier: Apache-2.0
"""The demo's answers as lines of text: columns that fit a width, whatever is in them, and styles for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest

RIGHT, WRONG, MISSED = "right", "wrong", "missed"
"""Verdicts on a row. MISSED: a fact of the simulator that was not found."""

LEAST_WIDTH = 60
"""Characters; no table is made narrower."""

_GAP = "  "
_VERDICT, _PROBABILITY, _TIME, _LEAST_QUESTION = 6, 4, 6, 12  # characters
_GREEN, _RED, _BOLD, _PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[1m", "\x1b[0m"
_STYLES = {RIGHT: _GREEN, WRONG: _RED, MISSED: _RED}
_VERDICT_FIRST = re.compile(rf"({'|'.join(_STYLES)})(?= )")
_TITLE = re.compile(r"\d\. ")


@dataclass(frozen=True)
class Row:
    """What was asked, answered and true, with region ids where the question had prompts.

    verdict: RIGHT, WRONG, MISSED, or "" where the simulator can't say for sure. probability: of the answer, 0..1; None
    where it has none. seconds: from request to answer; None where the row sums up other rows.
    """

    verdict: str
    asked: str
    answer: str
    truth: str
    probability: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Table:
    """Columns of fixed widths; a longer text is wrapped within its column.

    width: of all columns together, characters. answer: width of the columns of answer and truth, at most; they are
    narrower where the question would have no room. names: of the columns of question and answer.
    """

    width: int
    answer: int = 10
    names: tuple[str, str] = ("question", "answer")

    def header(self) -> list[str]:
        """The columns' names."""
        return self._lines("", *self.names, "prob", "truth", "time")

    def lines(self, row: Row) -> list[str]:
        """The row, in one line or more."""
        probability = "" if row.probability is None else f"{row.probability:.2f}"
        time = "" if row.seconds is None else duration(row.seconds)
        return self._lines(row.verdict, row.asked, row.answer, probability, row.truth, time)

    def _lines(self, verdict: str, asked: str, answer: str, probability: str, truth: str, time: str) -> list[str]:
        fixed = _VERDICT + _PROBABILITY + _TIME + 5 * len(_GAP)
        shared = max(self.width, LEAST_WIDTH) - fixed
        half = min(self.answer, (shared - _LEAST_QUESTION) // 2)
        cells = [
            _cell(verdict, _VERDICT, str.ljust),
            _cell(asked, shared - 2 * half, str.ljust),
            _cell(answer, half, str.ljust),
            _cell(probability, _PROBABILITY, str.rjust),
            _cell(truth, half, str.ljust),
            _cell(time, _TIME, str.rjust),
        ]
        blanks = [" " * len(cell[0]) for cell in cells]
        return [
            _GAP.join(part or blank for part, blank in zip(parts, blanks, strict=True)).rstrip()
            for parts in zip_longest(*cells)
        ]


def _cell(text: str, width: int, align: Callable[[str, int], str]) -> list[str]:
    """The text in lines of exactly `width` characters, one at least."""
    return [align(line, width) for line in textwrap.wrap(text, width) or [""]]


def duration(seconds: float) -> str:
    """A time in at most 6 characters up to a quarter of an hour."""
    if seconds < 0.9995:
        return f"{1e3 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.95 else f"{seconds:.0f} s"


def styled(line: str) -> str:
    """The line for a terminal: a verdict at its beginning in green or red, a title in bold."""
    if _TITLE.match(line):
        return f"{_BOLD}{line}{_PLAIN}"
    verdict = _VERDICT_FIRST.match(line)
    return f"{_STYLES[verdict[1]]}{verdict[1]}{_PLAIN}{line[verdict.end() :]}" if verdict else line
