# SPDX-License-Identifier: Apache-2.0
"""What the demo prints: each line behind the name of the process that it comes from, styled on a terminal only."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from typing import TextIO

from gar_ros.demo.table import styled

NARROW, WIDE = 100, 120
"""Characters of a line of the table: where the terminal's width is not known, and at most."""


def say(line: str, name: str = "demo") -> None:
    """Prints a line at once."""
    shown = styled(line) if has_styles(sys.stdout, os.environ) else line
    print(f"{prefix(name)}{shown}".rstrip(), flush=True)


def echo(line: str, name: str) -> None:
    """Prints a line of a process's log, wrapped where it is longer than the terminal is wide."""
    room = _columns() - len(prefix(name))
    whole = len(line) <= room or not sys.stdout.isatty()
    for part in [line] if whole else textwrap.wrap(line, room, subsequent_indent="  "):
        say(part, name)


def prefix(name: str) -> str:
    """What stands before a line of a process."""
    return f"[{name:7}] "


def table_width() -> int:
    """Characters that a line of the table has room for behind its prefix."""
    return min(_columns(), WIDE) - len(prefix(""))


def has_styles(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether the stream is a terminal whose user has not asked for plain text (https://no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def _columns() -> int:
    return shutil.get_terminal_size((NARROW, 24)).columns
