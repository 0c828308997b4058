# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import string

import numpy as np
import pytest

from gar_ros.demo.console import prefix
from gar_ros.demo.table import LEAST_WIDTH, MISSED, RIGHT, WRONG, Row, Table, duration, styled


def texts(rng: np.random.Generator, longest: int) -> str:
    """Words of random lengths, some of them longer than any column."""
    lengths = rng.integers(1, 30, rng.integers(0, longest))
    return " ".join("".join(rng.choice(list(string.ascii_letters), length)) for length in lengths)


@pytest.mark.parametrize("columns", [100, 80, LEAST_WIDTH + len(prefix("planner")), 120])
def test_no_line_is_wider_than_the_terminal_whatever_is_in_it(columns: int) -> None:
    rng, width = np.random.default_rng(0), columns - len(prefix("planner"))
    for _ in range(200):
        table = Table(width, int(rng.integers(1, 40)), (texts(rng, 3), texts(rng, 3)))
        seconds = float(10 ** rng.uniform(-3, 2.8))
        row = Row(RIGHT, texts(rng, 20), texts(rng, 8), texts(rng, 8), float(rng.random()), seconds)
        for line in table.header() + table.lines(row):
            assert len(prefix("planner") + line) <= columns


def test_a_row_in_its_columns() -> None:
    row = Row(WRONG, "What colour is 4?", "red", "blue", 0.625, 0.041)
    header, line = Table(80).header()[0], Table(80).lines(row)[0]
    assert line.split() == ["wrong", "What", "colour", "is", "4?", "red", "0.62", "blue", "41", "ms"]
    assert [header.index(name) for name in ("question", "answer", "truth")] == [
        line.index(cell) for cell in ("What", "red", "blue")
    ]


def test_a_long_question_goes_on_below_itself() -> None:
    question = "What shape is 12? Answer with one of these: ball, mug, cylinder, bowl."
    first, second, *_ = Table(80).lines(Row(RIGHT, question, "ball", "ball", 1.0, 0.004))
    assert first.startswith("right   What shape is 12?") and first.endswith("4 ms")
    assert second.startswith("        ") and second.strip() in question


def test_what_a_row_lacks_stays_empty() -> None:
    assert Table(80).lines(Row(MISSED, "6 touching 3", "", "true"))[0].split() == [
        "missed",
        "6",
        "touching",
        "3",
        "true",
    ]


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.0042, 0.9996, 12.34, 321.0)] == ["4 ms", "1.0 s", "12.3 s", "321 s"]


def test_only_a_verdict_at_the_beginning_is_coloured() -> None:
    (line,) = Table(80).lines(Row(RIGHT, "Which is further right, 3 or 5?", "3", "3", 1.0, 0.1))
    assert styled(line) == line.replace("right ", "\x1b[32mright\x1b[0m ", 1)
    assert styled("wrong   no") == "\x1b[31mwrong\x1b[0m   no"
    assert styled("missed  no") == "\x1b[31mmissed\x1b[0m  no"
    assert styled("        right, 3 or 5?") == "        right, 3 or 5?"
    assert styled("rightly so") == "rightly so"


def test_titles_are_bold() -> None:
    assert styled("4. The scene graph") == "\x1b[1m4. The scene graph\x1b[0m"
