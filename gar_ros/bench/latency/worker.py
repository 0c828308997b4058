# SPDX-License-Identifier: Apache-2.0
"""The inside of a process that measures one side: reads work as JSON lines, answers each with what it measured."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from gar_ros.bench.latency.work import Measured, Work
from gar_ros.errors import GarError
from gar_ros.json_reader import read

_CLEAR_REFS, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"


class Recorder:
    """Writes down what a piece of work takes."""

    def __init__(self) -> None:
        self.measured = Measured()

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[], None]]:
        """Measures its body; calling what it gives marks a token of the step's answer."""
        reset_peak()
        start = time.perf_counter()
        yield lambda: self.measured.marks.setdefault(name, []).append(time.perf_counter() - start)
        self.measured.seconds[name] = time.perf_counter() - start
        self.measured.peaks[name] = peak_bytes()

    def count(self, **counts: float) -> None:
        """Writes down numbers that are no durations."""
        self.measured.counts.update(counts)


def serve(do: Callable[[Work, Recorder], None]) -> None:
    """Does the work that comes on stdin until that ends, or Ctrl-C comes. A GarError is told and ends it."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with suppress(KeyboardInterrupt):  # the command tells that it was interrupted
        for line in sys.stdin:
            recorder = Recorder()
            try:
                do(read(line, Work), recorder)
            except GarError as error:
                tell(answers, {"error": error.message})
                return
            tell(answers, dataclasses.asdict(recorder.measured))


def tell(answers: IO[str], message: object) -> None:
    """Writes one JSON line at once."""
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def reset_peak() -> None:
    """Begins a new peak of the resident set, where the kernel lets a process do so."""
    try:
        _CLEAR_REFS.write_text(_RESET_PEAK)
    except OSError:
        return


def peak_bytes() -> int:
    """The largest resident set since `reset_peak`, or since the process began; pages of mapped files count."""
    peak = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak.split()[1]) << 10  # Linux gives kibibytes
