# SPDX-License-Identifier: Apache-2.0
"""What a soak has found: its journals read, and what must hold compared with what was."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tools.soak.cases import BAD, GOOD, MAX_AGE
from tools.soak.journal import Row, rows

MAX_GROWTH = 0.02
"""Of the node's memory, from the second sixth of the soak to its last; the first sixth is the warm-up."""
MAX_CALLBACK_MS = 20.0
SETTLING_SECONDS = 4.0
"""From a camera's or detector's first message after its return until no request can be refused for it any more: DDS
discovers the publisher and the detector needs its first image."""

CALLBACK_VALUE = "image callback p99 (ms)"
"""The name of the value in the node's diagnostics."""

_UNEXPECTED = re.compile(r"Ignoring unexpected \w+ response")
_OUT_OF_VIEW = "the last image that showed"
"""Begins the refusal where a region was listed, but the detector hasn't found it since for longer than MAX_AGE."""

_CASES = {case.name: case for case in (*GOOD, *BAD)}


class Check(NamedTuple):
    """One thing that must hold. timed: whether it needs a machine that has nothing else to do."""

    what: str
    wanted: str
    got: str
    held: bool
    timed: bool = False


@dataclass(frozen=True)
class Findings:
    """minutes: how long it was. exit_code: of the node. journals: rows of each planner, in their order. samples,
    events: rows of the watch and of the crew, in their order. node_log, planner_logs: what they printed."""

    minutes: float
    exit_code: int
    journals: dict[str, list[Row]]
    samples: list[Row]
    events: list[Row]
    node_log: str
    planner_logs: str

    @property
    def replies(self) -> list[Row]:
        """All rows of requests that ended, in the order of their ends."""
        found = [row for journal in self.journals.values() for row in journal if row["event"] == "replied"]
        return sorted(found, key=lambda row: float(row["t"]))

    def unanswered(self) -> list[str]:
        """Requests without a reply, except for the one that a planner was killed with."""
        given_up = [_told(row) for row in self.replies if row["message"].startswith("no reply from")]
        found = given_up[self.counted("late") :]  # on a busy machine replies may come when nobody waits any more
        for name, journal in self.journals.items():
            killed = [row["t"] for row in self.events if row["event"] == "killed" and row["who"] == name]
            for asked, following in pairwise(journal):
                abandoned = any(asked["t"] <= time <= following["t"] for time in killed)
                if asked["event"] == following["event"] == "asks" and not abandoned:
                    found.append(f"{name}: {asked['case']} at {asked['t']}")
        return found

    def repeated(self) -> int:
        """Number of replies beyond the first of their request."""
        return len(_UNEXPECTED.findall(self.planner_logs)) + self.counted("repeated")

    def counted(self, value: str) -> int:
        """What all planners counted; each life of a planner counts from 0."""
        counts = [[row[value] for row in rows if row["event"] == "replied"] for rows in self.journals.values()]
        return sum(max(now - before, 0) for one in counts for before, now in pairwise([0, *one]))

    def wrong(self) -> list[str]:
        """Replies of another kind than their request deserves."""
        outages = self.outages()
        return [
            _told(row)
            for row in self.replies
            if not row["message"].startswith("no reply from")
            and row["code"] != "STALE_FRAME"
            and not _is_right(row, outages)
        ]

    def stale(self) -> list[str]:
        """Refusals as if camera or detector were away, which they were not: on a busy machine they may lag as well."""
        outages = self.outages()
        return [_told(row) for row in self.replies if row["code"] == "STALE_FRAME" and not _is_right(row, outages)]

    def outages(self) -> list[tuple[float, float]]:
        """Times (from, to) in which camera or detector were away, so that requests may find no fresh image."""
        found = []
        for row in self.events:
            if row["event"] == "killed" and row["who"] in ("camera", "detector"):
                back = (
                    later["t"]
                    for later in self.events
                    if later["event"] == "publishes" and later["who"] == row["who"] and later["t"] > row["t"]
                )
                found.append((float(row["t"]), float(next(back, math.inf)) + SETTLING_SECONDS))
        return found

    def sixth(self, number: int, value: str) -> list[float]:
        """The samples of a value in one sixth of the soak, 0 to 5."""
        count = len(self.samples)
        return [float(row[value]) for row in self.samples[count * number // 6 : count * (number + 1) // 6]]

    def growth(self) -> float:
        """Of the node's memory after the warm-up, as a fraction."""
        early, late = self.sixth(1, "rss"), self.sixth(5, "rss")
        return median(late) / median(early) - 1 if early and late else math.nan

    def checks(self) -> list[Check]:
        """All that must hold."""
        lost, wrong, repeated = self.unanswered(), self.wrong(), self.repeated()
        stale = self.stale()
        died = [f"{row['who']} ({row['code']})" for row in self.events if row["event"] == "died"]
        tracebacks = self.node_log.count("Traceback")
        oldest = max((float(row["age"]) for row in self.replies), default=0.0)
        return [
            Check("requests without a reply", "none", _listed(lost), not lost),
            Check("replies beyond the first", "none", str(repeated), repeated == 0),
            Check("replies of the wrong kind", "none", _listed(wrong), not wrong),
            Check("tracebacks in the node's log", "none", str(tracebacks), tracebacks == 0),
            Check("processes that died by themselves", "none", _listed(died), not died),
            Check("exit code of the node at the end", "0", str(self.exit_code), self.exit_code == 0),
            Check("oldest image that answered", f"{MAX_AGE:g} s", f"{oldest:.2f} s", oldest <= MAX_AGE),
            Check("stale images with camera and detector there", "none", _listed(stale), not stale, timed=True),
            self._constant("files"),
            self._constant("threads"),
            self._growth(),
            self._callbacks(),
        ]

    def _constant(self, value: str) -> Check:
        early, late = self.sixth(1, value), self.sixth(5, value)
        what = f"{'open files' if value == 'files' else value} of the node"
        if not early or not late:
            return Check(what, "constant", "no samples", False)
        got = f"{median(early):g} after warm-up (at most {max(early):g}), {median(late):g} at the end"
        return Check(what, "constant", got, median(late) <= max(early))

    def _growth(self) -> Check:
        got, growth = "no samples", self.growth()
        if not math.isnan(growth):
            got = f"{growth:+.1%} ({median(self.sixth(1, 'rss')):.0f} to {median(self.sixth(5, 'rss')):.0f} MiB)"
        return Check("memory after warm-up", f"below +{MAX_GROWTH:.0%}", got, growth < MAX_GROWTH, timed=True)

    def _callbacks(self) -> Check:
        told = [row["told"].get(CALLBACK_VALUE, "nan") for row in self.samples]
        wanted = f"below {MAX_CALLBACK_MS:g} ms"
        if set(told) <= {"nan"}:
            return Check("image callbacks, 99th percentile", wanted, "not told by the node", False, timed=True)
        values = [float(value) for value in told if value != "nan"]
        usual, worst = median(values), max(values)
        got = f"{usual:.1f} ms, {worst:.1f} ms in the worst 1000 images"
        return Check("image callbacks, 99th percentile", wanted, got, usual < MAX_CALLBACK_MS, timed=True)


def read(folder: Path, minutes: float, exit_code: int, planners: Sequence[str]) -> Findings:
    """The findings of a soak that has ended."""
    logs = [file.read_text(errors="replace") for file in sorted(folder.glob("planner*.log"))]
    return Findings(
        minutes,
        exit_code,
        {name: rows(folder / f"{name}.jsonl") for name in planners},
        rows(folder / "samples.jsonl"),
        rows(folder / "events.jsonl"),
        (folder / "gar.1.log").read_text(errors="replace"),
        "".join(logs),
    )


def _is_right(row: Row, outages: list[tuple[float, float]]) -> bool:
    case, code = _CASES[row["case"]], row["code"]
    if code in {right.name for right in case.right} or (case.model and code == "QUEUE_FULL"):
        return True
    if case.needs and code == "STALE_FRAME" and row["message"].startswith(_OUT_OF_VIEW):
        return True
    begin, end = row["t"] - row["seconds"], row["t"]
    away = any(begin <= back and end >= left for left, back in outages)
    return away and code in ("NO_FRAME", "STALE_FRAME")


def _told(row: Row) -> str:
    return f"{row['case']}: {row['code']} {row['message'][:80]!r}"


def _listed(found: Sequence[str]) -> str:
    return "none" if not found else f"{len(found)}: " + "; ".join(found[:2]) + ("; ..." if len(found) > 2 else "")
