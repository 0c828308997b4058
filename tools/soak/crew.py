# SPDX-License-Identifier: Apache-2.0
"""The soak's processes: started with a log each, killed and started again, certainly gone at the end."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tools.soak.journal import Journal

GRACE_SECONDS = 30.0
"""From SIGINT to SIGKILL: a busy machine takes its time."""


def stopped_by_signals() -> threading.Event:
    """Set as soon as this process is told to end, by Ctrl-C or SIGTERM, so that it can end its crew first."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


class Member:
    """One role, such as a camera, and the process that plays it now."""

    def __init__(self, name: str, module: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", module, *arguments]
        self._lives = itertools.count(1)

    def start(self, environment: Mapping[str, str], folder: Path) -> None:
        """A new process with a log of its own."""
        with (folder / f"{self.name}.{next(self._lives)}.log").open("wb") as log:
            # A group of its own, so that Ctrl-C in a terminal reaches only the soak, which then ends all in order.
            self.process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=_own_group,
            )

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        if self.process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Whether its process is alive."""
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process and its descendants."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    def end(self) -> int:
        """Ends the process as Ctrl-C would; its exit code, negative where it took a signal."""
        if self.process is None:
            return 0
        self.send(signal.SIGINT)
        try:
            return self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.wait()

    def kill(self) -> None:
        """Ends the process with SIGKILL, and waits until it is gone."""
        self.send(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()


class Crew:
    """All members by name; leaving the context ends their processes."""

    def __init__(self, members: Sequence[Member], environment: Mapping[str, str], folder: Path) -> None:
        self.members = {member.name: member for member in members}
        self._environment, self._folder = environment, folder
        self._journal = Journal(folder / "events.jsonl")

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for member in self.members.values():
            member.kill()

    def start(self, name: str) -> Member:
        """Starts a member that doesn't run."""
        member = self.members[name]
        self._journal.write(event="starts", who=name)
        member.start(self._environment, self._folder)
        return member

    def kill(self, name: str, why: str) -> None:
        """SIGKILL, whatever the member is doing. why: what the disturbance is called."""
        self._journal.write(event="killed", who=name, why=why)
        member = self.members[name]
        member.kill()
        member.process = None

    def dead(self) -> list[str]:
        """Names of the members whose process has ended by itself; each is told to the journal."""
        found = [member.name for member in self.members.values() if member.process is not None and not member.runs]
        for name in found:
            process = self.members[name].process
            self._journal.write(event="died", who=name, code=process.returncode if process else None)
        return found


def wait(seconds: float) -> None:
    """Sleeps."""
    time.sleep(max(seconds, 0.0))


def _own_group() -> None:
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored in the background of a shell, and inherited
