# SPDX-License-Identifier: Apache-2.0
"""What a run under load has found: its journals read, and cut into phases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.soak.journal import Row, rows

EXECUTOR, WORKER, CALLBACKS, INPUTS, DDS, REST = "executor", "worker", "callbacks", "inputs", "DDS", "rest"
GROUPS = (EXECUTOR, WORKER, CALLBACKS, INPUTS, DDS, REST)
"""Of the threads of the node: what waits for requests and timers, the model, callbacks of these, those of
camera and detector, those of Fast DDS."""


@dataclass(frozen=True)
class Phase:
    """One phase. begin, end: seconds since the epoch. cpu: seconds of each group of threads meanwhile. jobs: rows of
    the worker. asked: rows of the planner that asks alone. replies: rows of the others. samples: of the node."""

    name: str
    begin: float
    end: float
    cpu: dict[str, float]
    jobs: list[Row]
    asked: list[Row]
    replies: list[Row]
    samples: list[Row]

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.begin

    @property
    def cores(self) -> float:
        """Cores that the node has had, with the model."""
        return sum(self.cpu.values()) / self.seconds

    @property
    def model_cores(self) -> float:
        """Cores that the model has had; it must run in one thread, the worker's."""
        return sum(float(row["model_cpu"]) for row in self.jobs) / self.seconds


@dataclass(frozen=True)
class Findings:
    """phases: in their order. model_seconds: of each answer, by its latency in nanoseconds, which differs from answer
    to answer."""

    phases: list[Phase]
    model_seconds: dict[int, float]

    def own_share(self, phase: Phase) -> list[tuple[float, float]]:
        """(seconds, share) of each question of the planner that asks alone that were not the model's."""
        found = []
        for row in phase.asked:
            if row["event"] == "asked" and (model := self.model_seconds.get(row["latency_ns"])) is not None:
                own = float(row["seconds"]) - model
                found.append((own, own / float(row["seconds"])))
        return found


def read(folder: Path, planners: Sequence[str]) -> Findings:
    """The findings of a run that has ended."""
    model, asked = rows(folder / "model.jsonl"), rows(folder / "asker.jsonl")
    names = {thread: name for row in model if row["event"] == "threads" for thread, name in row["names"].items()}
    edges = rows(folder / "phases.jsonl")
    replies = [row for name in planners for row in rows(folder / f"{name}.jsonl") if row["event"] == "replied"]
    samples = rows(folder / "samples.jsonl")
    phases = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        begin, end = float(first["t"]), float(last["t"])
        during = [
            [row for row in journal if begin <= row["t"] <= end]
            for journal in ([row for row in model if row["event"] == "job"], asked, replies, samples)
        ]
        cpu = grouped(first["threads"], last["threads"], names)
        phases.append(Phase(first["phase"], begin, end, cpu, *during))
    return Findings(phases, {row["latency_ns"]: row["model"] for row in model if row["event"] == "answer"})


def grouped(
    before: Mapping[str, Sequence[object]], after: Mapping[str, Sequence[object]], names: Mapping[str, str]
) -> dict[str, float]:
    """CPU seconds of each group of threads between two looks. names: as Python knows the threads, by id."""
    seconds: dict[str, float] = defaultdict(float)
    for thread, (system_name, total) in after.items():
        earlier = before[thread][1] if thread in before else 0.0
        seconds[_group(str(system_name), names.get(thread, ""))] += float(str(total)) - float(str(earlier))
    return {group: seconds[group] for group in GROUPS}


def _group(system_name: str, name: str) -> str:
    if name == "gar_executor":
        return EXECUTOR
    if name == "gar_worker":
        return WORKER
    if name.startswith("ThreadPoolExecutor"):
        return CALLBACKS
    if name.startswith("listener"):
        return INPUTS
    return DDS if system_name.startswith("dds.") else REST
