# SPDX-License-Identifier: Apache-2.0
"""Child processes with log files, all of them certainly gone at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from gar_ros.demo.console import echo, say

POLL_SECONDS = 0.1
INTERRUPTED = 130  # as shells report Ctrl-C
_GRACE_SECONDS = 6.0  # from SIGINT to SIGKILL
_TAIL_LINES = 25


class Child:
    """One process in a group of its own, its output in a log file."""

    def __init__(self, name: str, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self.reported = False
        self._shown = 0  # bytes of the log that have been echoed
        with log.open("wb") as stream:
            # A group of its own, so that Ctrl-C in the terminal reaches it once only, in the order chosen here.
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=os.setpgrp,
            )

    @property
    def code(self) -> int | None:
        """Exit code, None while it runs."""
        return self.process.poll()

    def echo(self) -> None:
        """Prints the whole lines that came since the last call, the child's name before each."""
        with self.log.open("rb") as stream:
            stream.seek(self._shown)
            new = stream.read()
        new = new[: new.rfind(b"\n") + 1]
        self._shown += len(new)
        for line in new.decode(errors="replace").splitlines():
            echo(line, self.name)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group."""
        with suppress(ProcessLookupError):  # already gone
            os.killpg(self.process.pid, number)

    def report_death(self) -> None:
        """Says that it ended before its time, with the last lines of its log."""
        self.reported = True
        say(f"{self.name} ended unexpectedly with exit code {self.code}; the end of {self.log}:")
        for line in self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]:
            say(f"  {line}")


class Children:
    """The started processes; leaving the context ends them all."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self._all: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        running = [child for child in self._all if child.code is None]
        for child in reversed(running):  # the planner first: it needs the others
            child.send(signal.SIGINT)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and any(child.code is None for child in running):
            time.sleep(POLL_SECONDS)
        for child in running:
            if child.code is None:
                say(f"{child.name} ignored SIGINT for {_GRACE_SECONDS:g} s: killed")
            elif child.code not in (0, INTERRUPTED, -signal.SIGINT):  # the last: while it was still importing
                say(f"{child.name} ended with exit code {child.code} on SIGINT; see {child.log}")
        for child in self._all:
            child.send(signal.SIGKILL)  # what its first process may have left behind, too
            child.process.wait()

    def start(self, name: str, module: str, arguments: Sequence[str]) -> Child:
        """Starts `python -m module` with this interpreter."""
        command = [sys.executable, "-m", module, *arguments]
        child = Child(name, command, self._environment, self._folder / f"{name}.log")
        self._all.append(child)
        return child

    def echo(self) -> None:
        """Prints what is new from each."""
        for child in self._all:
            child.echo()
