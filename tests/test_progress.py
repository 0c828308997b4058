"""A bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

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


def test_a_bar_on_a_terminal_even_of_no_size() -> None:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "2/5" in shown
    assert "5/5" in shown
    assert "\r" in shown
