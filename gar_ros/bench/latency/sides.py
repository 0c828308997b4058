# SPDX-License-Identifier: Apache-2.0
"""The processes that measure, as the command sees them: each side is started when it is first needed."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from gar_ros.bench.latency.limits import thread_limits
from gar_ros.bench.latency.work import Case, Measured, Work
from gar_ros.errors import ErrorCode, GarError
from gar_ros.json_reader import JsonError, convert, load

RELEASED, LIMITS = "released way", "limits"

_WARM_UP = Work(Case("warm", tiles=1, regions=1, tokens=2), frame=0)
_END_SECONDS = 10.0


class _Process:
    """A process that answers lines."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True, encoding="utf-8")
        self._in, self._out = cast(IO[str], self._process.stdin), cast(IO[str], self._process.stdout)

    def ask(self, line: str) -> str:
        """Its answer to a line, empty when it has ended."""
        with suppress(BrokenPipeError):
            self._in.write(line + "\n")
            self._in.flush()
        return self._out.readline()

    def end(self, seconds: float) -> int:
        """Its exit code, once it has read its input to the end; it is killed when that takes longer than `seconds`."""
        with suppress(BrokenPipeError):
            self._in.close()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
        finally:
            self._out.close()


class Side:
    """One side, whose process is started when it is first needed; use it as a context manager."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """name: in errors. environment: what is added to this process's own."""
        self.name = name
        self._command = [sys.executable, "-m", *command]
        self._environment = {**os.environ, **(environment or {})}
        self._process: _Process | None = None

    def __enter__(self) -> Side:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.end(_END_SECONDS if kind is None else 0.0)

    def measure(self, work: Work) -> Measured:
        """What the process measured. Raises GarError with its reason when it could not."""
        if self._process is None:
            self._process = _Process(self._command, self._environment)
            if self.name != LIMITS:
                self._ask(self._process, _WARM_UP)  # the first work reads the weights from the disk
        return self._ask(self._process, work)

    def _ask(self, process: _Process, work: Work) -> Measured:
        line = process.ask(json.dumps(dataclasses.asdict(work)))
        if not line:
            raise self._failed(f"its process has ended with {process.end(_END_SECONDS)}")
        try:
            answer = load(line)
            if "error" in answer:
                raise self._failed(str(answer["error"]))
            return convert(answer, Measured)
        except JsonError as error:
            raise self._failed(f"its process answered '{line[:60]}': {error}") from error

    def _failed(self, why: str) -> GarError:
        return GarError(ErrorCode.INVALID_REQUEST, f"{self.name} could not be measured: {why}")


def limits_side(threads: int) -> Side:
    """Measures the machine."""
    return Side(LIMITS, ["gar_ros.bench.latency", "limits", "--threads", str(threads)], thread_limits(threads))


def released_side(checkpoint: Path, threads: int, scene: Path, limits: bool) -> Side:
    """Asks a checkpoint the released way; needs torch. limits: whether torch measures the machine's limits, too."""
    options = ["--checkpoint", str(checkpoint), "--threads", str(threads), "--scene", str(scene)]
    options += ["--limits"] if limits else []
    return Side(RELEASED, ["gar_ros.cli.torch_side", "released", *options])


def our_side(name: str, model: Path, provider: str, threads: int, scene: Path) -> Side:
    """Asks an exported model."""
    options = ["--model", str(model), "--provider", provider, "--threads", str(threads), "--scene", str(scene)]
    return Side(name, ["gar_ros.bench.latency", "ours", *options])
