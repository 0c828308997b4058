# SPDX-License-Identifier: Apache-2.0
"""python -m tools.closing_line LOG...: pytest's closing line in each log, and one in the same form for all of them."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

CLOSING = re.compile(r"^=+ (?P<counts>.+) in (?P<seconds>[0-9.]+)s(?: \([0-9:]+\))? =+$", re.MULTILINE)
ORDER = ("failed", "passed", "skipped", "xfailed", "xpassed", "rerun", "warnings", "errors")
PLURAL = {"warning": "warnings", "error": "errors"}


def closing_line(log: str) -> str | None:
    """pytest's last line in a log, None where there is none."""
    lines = [match.group() for match in CLOSING.finditer(log)]
    return lines[-1] if lines else None


def joined(lines: Sequence[str]) -> str:
    """One closing line for runs of different tests: what one left to the others isn't told as deselected."""
    counts: Counter[str] = Counter()
    seconds = 0.0
    for match in filter(None, map(CLOSING.match, lines)):
        seconds += float(match["seconds"])
        for count, kind in re.findall(r"(\d+) (\w+)", match["counts"]):
            counts[PLURAL.get(kind, kind)] += int(count)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in ORDER if counts[kind]) or "no tests ran"
    text = f" {told} in {seconds:.2f}s ({timedelta(seconds=int(seconds))}) "
    return f"={text:=^78}="


def main(logs: Sequence[str]) -> int:
    """The command; returns its exit code, 1 when a run didn't come to its end."""
    found = {log: closing_line(Path(log).read_text(errors="replace")) for log in logs}
    for log, line in found.items():
        print(f"{log}: {line or 'pytest did not come to its end'}")
    lines = [line for line in found.values() if line is not None]
    print(joined(lines))
    return int(len(lines) < len(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
