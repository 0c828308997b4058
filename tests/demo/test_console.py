# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
from functools import partial
from types import SimpleNamespace

import pytest

from gar_ros.demo import console
from gar_ros.demo.console import echo, has_styles, say, table_width


class Terminal(io.StringIO):
    """What `isatty` calls a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stdout as a terminal of 40 columns."""
    terminal = Terminal()
    monkeypatch.setattr(console, "print", partial(print, file=terminal), raising=False)
    monkeypatch.setattr(console, "sys", SimpleNamespace(stdout=terminal))
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return terminal


def test_styles_are_for_terminals_whose_user_wants_them() -> None:
    assert has_styles(Terminal(), {"TERM": "xterm"})
    assert has_styles(Terminal(), {"TERM": "xterm", "NO_COLOR": ""})
    assert not has_styles(Terminal(), {"TERM": "xterm", "NO_COLOR": "1"})
    assert not has_styles(Terminal(), {"TERM": "dumb"})
    assert not has_styles(io.StringIO(), {"TERM": "xterm"})


def test_a_terminal_gets_colours(terminal: Terminal) -> None:
    say("wrong   Is 5 inside 3?", "planner")
    assert terminal.getvalue() == "[planner] \x1b[31mwrong\x1b[0m   Is 5 inside 3?\n"


def test_a_file_gets_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    say("wrong   Is 5 inside 3?", "planner")
    assert capsys.readouterr().out == "[planner] wrong   Is 5 inside 3?\n"


def test_a_long_line_of_a_log_is_wrapped_on_a_terminal(terminal: Terminal) -> None:
    echo("INFO: " + "word " * 12, "gar")
    lines = terminal.getvalue().splitlines()
    assert len(lines) > 1 and all(line.startswith("[gar    ] ") and len(line) <= 40 for line in lines)


def test_a_long_line_of_a_log_stays_whole_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    echo("word " * 50, "gar")
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize(("columns", "width"), [("100", 90), ("80", 70), ("300", 110)])
def test_the_table_takes_the_terminal_s_width_up_to_120(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert table_width() == width
