# SPDX-License-Identifier: Apache-2.0
"""What a run under a camera's load makes of its journals, told from a few rows that are written by hand."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tools.load.__main__ import _parse
from tools.load.findings import CALLBACKS, DDS, EXECUTOR, INPUTS, REST, WORKER, Findings, grouped, read
from tools.load.table import DROPPED_VALUE, table
from tools.load.threads import thread_seconds
from tools.load.timed_gar import ModelClock
from tools.soak.findings import CALLBACK_VALUE
from tools.soak.journal import Journal


@pytest.fixture
def findings(tmp_path: Path) -> Findings:
    """Of one phase: two questions of one planner and three replies to another."""
    told = {"images": "30", DROPPED_VALUE: "2", CALLBACK_VALUE: "3.5"}
    phases = Journal(tmp_path / "phases.jsonl")
    phases.write(phase="alone", edge="begin", threads={"1": ("python", 1.0)})
    Journal(tmp_path / "samples.jsonl").write(rss=500.0, told={**told, "images": "0", DROPPED_VALUE: "0"})
    Journal(tmp_path / "samples.jsonl").write(rss=501.0, told=told)
    model = Journal(tmp_path / "model.jsonl")
    for latency, seconds in ((70_000_000, 0.06), (80_000_000, 0.07)):
        model.write(event="job", seconds=0.075, cpu=0.07, model=seconds, model_cpu=0.05)
        model.write(event="answer", latency_ns=latency, model=seconds)
        Journal(tmp_path / "asker.jsonl").write(event="asked", seconds=seconds + 0.02, latency_ns=latency, age=0.03)
    for code, bad, case in (("OK", False, "list"), ("OK", False, "describe"), ("NO_FRAME", True, "list of long ago")):
        row = {"case": case, "bad": bad, "code": code, "seconds": 0.1, "age": 0.04}
        Journal(tmp_path / "planner0.jsonl").write(event="replied", **row)
    time.sleep(0.005)  # journals tell milliseconds
    phases.write(phase="alone", edge="end", threads={"1": ("python", 1.5)})
    return read(tmp_path, ["planner0"])


def test_what_a_question_takes_besides_the_model(findings: Findings) -> None:
    own = findings.own_share(findings.phases[0])
    assert [pytest.approx((0.02, 0.02 / 0.08)), pytest.approx((0.02, 0.02 / 0.09))] == own


def test_an_answer_that_the_node_did_not_write_down_does_not_count(findings: Findings) -> None:
    findings.phases[0].asked[0]["latency_ns"] = 1
    assert len(findings.own_share(findings.phases[0])) == 1


def test_the_table_tells_phases_requests_and_images(findings: Findings) -> None:
    text = table(findings)
    assert "2 questions of one planner took p50 85.0, p95 89.5, p99 89.9 ms, besides the model p50 20.0" in text
    assert "2 dropped, callbacks p99 3.5 ms; memory 500 to 501 MiB" in text
    assert "the newest frame was 40 ms old, at most 40 ms" in text
    assert "| describe | 1 | OK 1 | 100 ms | 100 ms |" in text
    assert "| bad ones | 1 | NO_FRAME 1 | 100 ms | 100 ms |" in text


def test_threads_are_grouped_by_what_they_do() -> None:
    names = {"1": "gar_executor", "2": "gar_worker", "3": "ThreadPoolExecutor-0_7", "4": "listener /image"}
    before = {str(number): ("python", 1.0) for number in (1, 2, 3)}
    after = {str(number): ("python", 1.0 + number) for number in range(1, 5)} | {"5": ("dds.shm.7", 0.5)}
    expected = {EXECUTOR: 1.0, WORKER: 2.0, CALLBACKS: 3.0, INPUTS: 5.0, DDS: 0.5, REST: 0.0}
    assert grouped(before, after, names) == pytest.approx(expected)


def test_this_process_has_threads() -> None:
    assert str(os.getpid()) in thread_seconds(os.getpid())


def test_a_generator_is_timed_only_while_it_runs() -> None:
    clock = ModelClock()

    def count() -> Generator[int, None, str]:
        yield 1
        yield 2
        return "end"

    steps = clock.timed_steps(count)()
    assert [next(steps), next(steps)] == [1, 2]
    with pytest.raises(StopIteration, match="end"):
        next(steps)
    assert clock.seconds > 0


def test_phases_are_chosen_by_name() -> None:
    assert _parse(["--phases", "alone=3", "quiet"]).phases == {"alone": 3.0, "quiet": 20.0}
    with pytest.raises(SystemExit):
        _parse(["--phases", "loud"])
    assert isinstance(_parse([]), argparse.Namespace)
