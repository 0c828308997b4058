# SPDX-License-Identifier: Apache-2.0
"""What the soak's processes write down: JSON lines that survive a SIGKILL of their writer."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Journal:
    """One file of rows; each row carries the time at which it was written, `t` in seconds since the epoch."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1, encoding="utf-8")

    @classmethod
    def append_to(cls, path: str) -> Journal:
        """The journal of a process that has its path from the command line."""
        return cls(Path(path))

    def write(self, **values: Any) -> None:
        """Appends one row, in one piece: several processes may write to one file."""
        self._file.write(json.dumps({"t": round(time.time(), 3), **values}) + "\n")


def clear(folder: Path) -> None:
    """Makes the folder of the results, and removes the journals and logs of the run before."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in [*folder.glob("*.jsonl"), *folder.glob("*.log")]:
        old.unlink()


def rows(path: Path) -> list[Row]:
    """The rows of a journal; a last one that its writer didn't finish is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]


def last_row(path: Path) -> Row:
    """The newest finished row; empty where there is none. Reads only the end of the file."""
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 4096, 0))
        lines = file.read().split(b"\n")
    try:
        return dict(json.loads(lines[-2])) if len(lines) > 1 else {}
    except json.JSONDecodeError:  # a row that is longer than what was read
        return {}
