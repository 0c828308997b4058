# SPDX-License-Identifier: Apache-2.0
"""The `gar` node, which also writes down what the model takes of each job and of each answer."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.node import gar_node
from gar_ros.serving.server import Server
from gar_ros.serving.worker import Job
from tools.soak.journal import Journal

JOURNAL = "GAR_LOAD_JOURNAL"
"""Environment variable with the path of the journal."""

TOLD_SECONDS = 12.0
"""From the start until the names of the threads are written down; once more at the end."""


class ModelClock:
    """Seconds that the model has had in the job of the worker's thread: by the clock, and of the CPU."""

    def __init__(self) -> None:
        self.seconds = self.cpu = 0.0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time counts as the model's."""

        def call(*arguments: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - wall
                self.cpu += time.thread_time() - cpu

        return call

    def timed_steps(self, function: Callable[..., Generator[Any, None, Any]]) -> Callable[..., Any]:
        """The generator function; what happens between its steps doesn't count."""

        def steps(*arguments: Any, **named: Any) -> Generator[Any, None, Any]:
            advance = self.timed(function(*arguments, **named).__next__)
            while True:
                try:
                    item = advance()
                except StopIteration as end:
                    return end.value
                yield item

        return steps


def main() -> int:
    """The executable; returns its exit code."""
    journal, clock = Journal(Path(os.environ[JOURNAL])), ModelClock()
    run, record = Job.run, Server._record

    def timed_run(job: Any) -> None:
        clock.seconds = clock.cpu = 0.0
        begin, cpu = time.perf_counter(), time.thread_time()
        try:
            run(job)
        finally:
            journal.write(
                event="job",
                seconds=round(time.perf_counter() - begin, 5),
                cpu=round(time.thread_time() - cpu, 5),
                model=round(clock.seconds, 5),
                model_cpu=round(clock.cpu, 5),
            )

    def timed_record(*arguments: Any) -> Any:
        answered = record(*arguments)
        journal.write(event="answer", latency_ns=answered.latency_ns, model=round(clock.seconds, 5))
        return answered

    def tell_threads() -> None:
        journal.write(event="threads", names={str(one.native_id): one.name for one in threading.enumerate()})

    atexit.register(tell_threads)
    with ExitStack() as patches:
        for owner, name, wrapped in (
            (GarEngine, "encode", clock.timed(GarEngine.encode)),
            (GarEngine, "encode_video", clock.timed(GarEngine.encode_video)),
            (EncodedFrame, "stream", clock.timed_steps(EncodedFrame.stream)),
            (Job, "run", timed_run),
            (Server, "_record", timed_record),
        ):
            patches.enter_context(patch.object(owner, name, wrapped))
        teller = threading.Timer(TOLD_SECONDS, tell_threads)
        teller.daemon = True
        teller.start()
        return gar_node.main()


if __name__ == "__main__":
    sys.exit(main())
