# SPDX-License-Identifier: Apache-2.0
"""A bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from gar_ros.progress import now_and_then, progress, timed_lines

PROGRAM = """
from gar_ros.progress import progress
assert list(progress([7, 8, 9], 2, 5)) == [7, 8, 9]
"""


def test_lines_where_the_output_is_kept() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert done.stderr.startswith("5 of 5 items, ")
    assert done.stderr.count("\n") == 1
    assert "\r" not in done.stderr


def test_a_unit_and_a_note_of_what_is_known_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress([7], 0, 1, "scene", lambda: "1 of 2 answers right")) == [7]
    line = capsys.readouterr().err
    assert line.startswith("1 of 1 scenes, ")
    assert line.endswith(" s each, 1 of 2 answers right\n")


def test_a_run_of_few_steps_tells_each_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    show = timed_lines()
    show("hashing")
    assert capsys.readouterr().err == "[   0.0 s] hashing\n"


def test_a_run_without_a_known_end_is_quiet_at_first(capsys: pytest.CaptureFixture[str]) -> None:
    show = now_and_then()
    show("1 image")
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal_even_of_no_size() -> None:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "2/5" in shown
    assert "5/5" in shown
    assert "\r" in shown
