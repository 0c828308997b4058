# SPDX-License-Identifier: Apache-2.0
"""Child processes of the tests: started with a log, and certainly gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_SECONDS = 0.05


class ChildProcess:
    """A process in a session of its own, with stdout and stderr in one log file."""

    def __init__(self, command: Sequence[str | Path], log_file: Path, environment: Mapping[str, str] | None) -> None:
        self.command = [str(part) for part in command]
        self.log_file = log_file
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                start_new_session=True,
                # Where the tests run in the background of a shell, SIGINT is ignored, and children would inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def log(self) -> str:
        """Everything the process has printed so far."""
        return self.log_file.read_text(errors="replace")

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, condition: Callable[[], bool], timeout: float, what: str) -> None:
        """Waits until `condition` holds; fails with the log when the process ends or `timeout` seconds pass first."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert self.is_running(), f"ended with {self._process.returncode} before {what}{self._report()}"
            assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}{self._report()}"
            time.sleep(POLL_SECONDS)

    def wait_for_log(self, text: str, timeout: float) -> None:
        """Waits until `text` is in the log."""
        self.wait_until(lambda: text in self.log, timeout, f"{text!r} in the log")

    def wait(self, timeout: float) -> int:
        """Exit code of the process, which must end by itself within `timeout` seconds."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout:g} s{self._report()}") from None

    def interrupt(self, timeout: float) -> int:
        """Sends what Ctrl-C sends and returns the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self.wait(timeout)

    def kill(self) -> None:
        """Ends the process and all its descendants that stayed in its session, however they feel about it."""
        while members := session_members(self.pid):
            for pid in members:
                with suppress(ProcessLookupError):  # it may have ended meanwhile
                    os.kill(pid, signal.SIGKILL)
            self._process.poll()
            time.sleep(POLL_SECONDS)
        self._process.wait()

    def _report(self) -> str:
        return f"\n$ {' '.join(self.command)}\n{self.log}"


def session_members(session: int) -> list[int]:
    """Ids of the living processes of a session; zombies have ended and don't count."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "pid (name) state ppid pgrp session ...": the name may hold spaces and parentheses.
            state, _, _, process_session = stat.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(process_session) == session and state != "Z":
            members.append(int(stat.parent.name))
    return members


StartProcess = Callable[..., ChildProcess]


@contextmanager
def process_starter(log_folder: Path) -> Iterator[StartProcess]:
    """Gives `start(*command, env=None) -> ChildProcess`; every process started so is gone when the context ends."""
    children: list[ChildProcess] = []

    def start(*command: str | Path, env: Mapping[str, str] | None = None) -> ChildProcess:
        child = ChildProcess(command, log_folder / f"process_{len(children)}.log", env)
        children.append(child)
        return child

    try:
        yield start
    finally:
        for child in children:
            child.kill()
