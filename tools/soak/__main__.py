# SPDX-License-Identifier: Apache-2.0
"""A robot's day in short: the node among processes that ask, flicker, err, die and come back.

    python -m tools.soak [--minutes 30] [--out .runs/soak]

Camera, detector, eight planners and somebody at rviz run as processes of their own beside one `gar` node, which must
outlive them all. Writes JSON lines, a table and a picture to --out; the exit code is 1 where something is not as it
should be.
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
from tools.soak.crew import Crew, Member, stopped_by_signals
from tools.soak.disturb import Disturbances
from tools.soak.findings import Findings, read
from tools.soak.journal import Journal, clear
from tools.soak.picture import drawn
from tools.soak.table import table
from tools.soak.watch import Watch

NODE = "gar"
STEP_SECONDS = 0.05
SAMPLE_SECONDS = 0.5
READY_SECONDS = 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the soak and prints its table; 0 where everything is as it should be."""
    options = _parse(arguments)
    clear(options.out)
    stop = stopped_by_signals()
    findings = run(options, stop)
    results = Journal(options.out / "checks.jsonl")
    for check in findings.checks():
        results.write(**check._asdict())
    write_atomically(options.out / "soak.png", drawn(findings))
    text = table(findings)
    write_atomically(options.out / "soak.md", text.encode())
    print(text)
    return 0 if all(check.held for check in findings.checks()) else 1


def run(options: argparse.Namespace, stop: threading.Event) -> Findings:
    """The soak itself, until its time is over or `stop` is set."""
    environment = demo_environment(options.domain, options.out)
    os.environ.update(environment)  # the watch is a ROS node of this process
    planners = [f"planner{number}" for number in range(options.planners)]
    with Crew(_members(options, planners), environment, options.out) as crew:
        node = crew.start(NODE)
        watch = Watch(node.pid, Journal(options.out / "samples.jsonl"))
        for name in ("camera", "detector", "viewer", *planners):
            crew.start(name)
        begin = time.monotonic()
        while not watch.told.get("requests answered", "0").strip("0") and time.monotonic() < begin + READY_SECONDS:
            if stop.wait(STEP_SECONDS) or not node.runs:
                break
        begin = time.monotonic()
        _disturb(crew, planners, options, watch, stop, begin)
        minutes = (time.monotonic() - begin) / 60
        for name in (*planners, "viewer", "detector", "camera"):
            crew.members[name].kill()
        exit_code = node.end()
        watch.close()
    return read(options.out, minutes, exit_code, planners)


def _disturb(
    crew: Crew, planners: list[str], options: argparse.Namespace, watch: Watch, stop: threading.Event, begin: float
) -> None:
    """Kills and restarts, and samples, until the time is over or the node has died."""
    disturbances = Disturbances(crew, planners, options.out, options.period, begin)
    end, next_sample = begin + options.minutes * 60, begin
    while (now := time.monotonic()) < end and not stop.wait(STEP_SECONDS):
        disturbances.step(now)
        if now >= next_sample:
            next_sample = now + SAMPLE_SECONDS
            watch.sample()
            for name in crew.dead():
                if name == NODE:
                    return
                crew.start(name)


def _members(options: argparse.Namespace, planners: list[str]) -> list[Member]:
    events = str(options.out / "events.jsonl")
    settings = {"diagnostics.rate": 5.0, "runtime.threads": 1, **dict(one.split(":=", 1) for one in options.param)}
    parameters = [part for name, value in settings.items() for part in ("-p", f"{name}:={value}")]
    return [
        Member(NODE, "gar_ros.node.gar_node", ["--ros-args", *parameters]),
        Member("camera", "tools.soak.camera", [events]),
        Member("detector", "tools.soak.detector", [events]),
        Member("viewer", "tools.soak.viewer", [events]),
        *(
            Member(
                name, "tools.soak.planner", [str(options.out / f"{name}.jsonl"), name, str(seed), str(options.pause)]
            )
            for seed, name in enumerate(planners)
        ),
    ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("tools.soak", description="The node among processes that ask, err and die.")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default: %(default)g)")
    parser.add_argument("--out", type=Path, default=Path(".runs/soak"), help="folder of the results (%(default)s)")
    parser.add_argument("--planners", type=int, default=8, help="processes that ask (default: %(default)s)")
    parser.add_argument(
        "--pause", type=float, default=0.2, help="mean seconds between a planner's requests (%(default)s)"
    )
    parser.add_argument("--period", type=float, default=15.0, help="seconds between kills (default: %(default)g)")
    parser.add_argument("--param", action="append", default=[], metavar="NAME:=VALUE", help="parameter of the node")
    domain = 1 + os.getpid() % 101
    parser.add_argument("--domain", type=int, default=domain, help="ROS_DOMAIN_ID (default: differs from run to run)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
