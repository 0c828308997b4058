# SPDX-License-Identifier: Apache-2.0
"""What a request waits for besides the model, and what the node costs, while a camera sends 30 images a second.

    python -m tools.load [--phases quiet=20 overlay=20 alone=40 planners=120] [--out .runs/load]

One `gar` node gets 1280x720 rgb8 with a label image for each image, and is asked, in phases one after another, by
nobody (quiet), by nobody while somebody looks at the overlay (overlay), by one planner without pause (alone) and by
six planners, a fifth of whose requests are bad (planners). Writes JSON lines and a table to --out.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from gar_ros.demo.__main__ import demo_environment
from gar_ros.files import write_atomically
from tools.load.findings import Findings, read
from tools.load.table import table
from tools.load.threads import thread_seconds
from tools.load.timed_gar import JOURNAL
from tools.soak.crew import Crew, Member, stopped_by_signals
from tools.soak.journal import Journal, clear
from tools.soak.watch import Watch

STEP_SECONDS = 0.05
SAMPLE_SECONDS = 0.5
READY_SECONDS = 120.0
SETTLING_SECONDS = 5.0
"""From the begin of a phase until its processes have found the node."""
PHASES = {"quiet": 20.0, "overlay": 20.0, "alone": 40.0, "planners": 120.0}
"""Seconds of each, in their order."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the phases and prints the table."""
    options = _parse(arguments)
    clear(options.out)
    stop = stopped_by_signals()
    text = table(run(options, stop))
    write_atomically(options.out / "load.md", text.encode())
    print(text)
    return 0


def run(options: argparse.Namespace, stop: threading.Event) -> Findings:
    """All phases, or until `stop` is set."""
    out: Path = options.out
    environment = {**demo_environment(options.domain, out), JOURNAL: str(out / "model.jsonl")}
    os.environ.update(environment)  # the watch is a ROS node of this process
    planners = [f"planner{number}" for number in range(options.planners)]
    of_phases = {"quiet": [], "overlay": ["viewer"], "alone": ["asker"], "planners": planners}
    with Crew(_members(options, planners), environment, out) as crew:
        node = crew.start("gar")
        watch = Watch(node.pid, Journal(out / "samples.jsonl"))
        crew.start("camera")
        begin = time.monotonic()
        while watch.told.get("images", "0") == "0" and time.monotonic() < begin + READY_SECONDS and node.runs:
            if stop.wait(STEP_SECONDS):
                break
        stop.wait(SETTLING_SECONDS)
        phases = Journal(out / "phases.jsonl")
        for name, seconds in options.phases.items():
            for member in of_phases[name]:
                crew.start(member)
            stop.wait(SETTLING_SECONDS)
            phases.write(phase=name, edge="begin", threads=thread_seconds(node.pid))
            _sample(watch, seconds, stop)
            phases.write(phase=name, edge="end", threads=thread_seconds(node.pid))
            for member in of_phases[name]:
                crew.members[member].kill()
        crew.members["camera"].kill()
        node.end()
        watch.close()
    return read(out, planners)


def _sample(watch: Watch, seconds: float, stop: threading.Event) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not stop.wait(min(SAMPLE_SECONDS, left)):
        watch.sample()


def _members(options: argparse.Namespace, planners: list[str]) -> list[Member]:
    out: Path = options.out
    events = str(out / "events.jsonl")
    settings = {"diagnostics.rate": 1.0, "runtime.threads": 1, **dict(one.split(":=", 1) for one in options.param)}
    parameters = [part for name, value in settings.items() for part in ("-p", f"{name}:={value}")]
    return [
        Member("gar", "tools.load.timed_gar", ["--ros-args", *parameters]),
        Member("camera", "tools.soak.camera", [events, "labels"]),
        Member("viewer", "tools.load.viewer", [events]),
        Member("asker", "tools.load.asker", [str(out / "asker.jsonl"), str(options.asker_pause)]),
        *(
            Member(name, "tools.soak.planner", [str(out / f"{name}.jsonl"), name, str(seed), str(options.pause)])
            for seed, name in enumerate(planners)
        ),
    ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("tools.load", description="What the node costs under a camera's load.")
    parser.add_argument(
        "--phases", nargs="+", type=_phase, metavar="NAME=SECONDS", default=list(PHASES.items()),
        help=f"phases in their order (default: {' '.join(f'{name}={time:g}' for name, time in PHASES.items())})",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path(".runs/load"), help="folder of the results (%(default)s)")
    parser.add_argument("--planners", type=int, default=6, help="processes that ask (default: %(default)s)")
    parser.add_argument(
        "--pause", type=float, default=0.2, help="mean seconds between a planner's requests (%(default)s)"
    )
    parser.add_argument("--asker-pause", type=float, default=0.0, help="seconds between the questions of phase alone")
    parser.add_argument("--param", action="append", default=[], metavar="NAME:=VALUE", help="parameter of the node")
    domain = 1 + os.getpid() % 101
    parser.add_argument("--domain", type=int, default=domain, help="ROS_DOMAIN_ID (default: differs from run to run)")
    options = parser.parse_args(arguments)
    options.phases = dict(options.phases)
    return options


def _phase(text: str) -> tuple[str, float]:
    name, _, seconds = text.partition("=")
    if name not in PHASES:
        raise argparse.ArgumentTypeError(f"expected one of {', '.join(PHASES)}, got '{name}'")
    return name, float(seconds or PHASES[name])


if __name__ == "__main__":
    sys.exit(main())
