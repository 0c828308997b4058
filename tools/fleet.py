# SPDX-License-Identifier: Apache-2.0
"""Measures what 1,000 images cost `gar annotate --ray` with one worker and with more: `python -m tools.fleet`.

Records bags of the simulated tabletop, then times the whole command over them, and over bags of one image each, whose
time is taken off: it is what Ray, the models and the first images take. Each row has the medians of its rounds; all
numbers of workers take turns in a round. Needs an idle machine for its numbers.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from gar_ros.bag.files import BagWriter
from gar_ros.messages.headers import header_message
from gar_ros.messages.images import image_message
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.timeline import Timeline

_FIRST_SEED, _FIRST_NS, _PERIOD_NS = 3_000_000, 1_700_000_000_000_000_000, 500_000_000
COMPUTED = 100
"""Workers of the last row."""


class Measured(NamedTuple):
    """images: answered about by the workers together, in this many seconds without those of the start."""

    workers: int
    images: int
    seconds: float
    start_seconds: float

    @property
    def per_thousand(self) -> float:
        """Seconds for 1,000 images."""
        return 1000 * self.seconds / self.images


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--bags", type=int, default=8, help="(default: %(default)s)")
    add("--images", type=int, default=100, help="of a bag (default: %(default)s)")
    add("--workers", default="1,2", help="numbers of workers, separated by commas (default: %(default)s)")
    add("--rounds", type=int, default=3, help="(default: %(default)s)")
    args, options = parser.parse_known_args(argv)
    with TemporaryDirectory(prefix="gar_fleet-") as name:
        folder = Path(name)
        for kind, images in (("whole", args.images), ("start", 1)):
            for number in range(args.bags):
                record(folder / kind / f"bag_{number}", _FIRST_SEED + number, images)
        rounds = [
            [
                measure(folder, workers, args.bags * (args.images - 1), options)
                for workers in map(int, args.workers.split(","))
            ]
            for _ in range(args.rounds)
        ]
    measured = [middle(of_workers) for of_workers in zip(*rounds, strict=True)]
    print(table(measured))
    return 0


def record(path: Path, seed: int, images: int) -> None:
    """Writes a bag of the simulated tabletop, 640x480."""
    timeline = Timeline(seed)
    with TabletopRenderer(640, 480) as renderer, BagWriter(path) as writer:
        for stamp in range(_FIRST_NS, _FIRST_NS + images * _PERIOD_NS, _PERIOD_NS):
            picture = renderer.render(timeline.at(stamp), depth=False)
            header = header_message("camera_optical_frame", stamp)
            writer.write("/image", image_message(picture.rgb, "rgb8", header), stamp)
            writer.write("/instances", image_message(picture.labels, "mono8", header), stamp)


def measure(folder: Path, workers: int, images: int, options: Sequence[str]) -> Measured:
    """One round. images: how many more the bags in folder / "whole" have than those in folder / "start"."""
    start = seconds_of(folder / "start", workers, options)
    whole = seconds_of(folder / "whole", workers, options)
    return Measured(workers, images, whole - start, start)


def seconds_of(bags: Path, workers: int, options: Sequence[str]) -> float:
    """Of the command from its start to its end. options: more words for it. Raises CalledProcessError."""
    with TemporaryDirectory(prefix="out-", dir=bags.parent) as out:
        command = [sys.executable, "-m", "gar_ros.cli.main", "annotate", str(bags), "--out", out, "--every", "0"]
        command += ["--ray", "local", "--workers", str(workers), *options]
        start = time.monotonic()
        subprocess.run(command, check=True, stdout=sys.stderr)
        return time.monotonic() - start


def middle(rounds: Sequence[Measured]) -> Measured:
    """The medians of one number of workers."""
    return rounds[0]._replace(
        seconds=median(one.seconds for one in rounds), start_seconds=median(one.start_seconds for one in rounds)
    )


def table(measured: Sequence[Measured]) -> str:
    """Markdown. The last row is computed: as many times as fast as one worker, if workers share nothing."""
    one = measured[0]
    lines = ["| workers | start | 1,000 images | images a second | gain |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {row.workers} | {row.start_seconds:.0f} s | {row.per_thousand:.0f} s | {1000 / row.per_thousand:.2f} | "
        f"{one.per_thousand / row.per_thousand:.2f} × |"
        for row in measured
    ]
    each = one.per_thousand * one.workers / COMPUTED
    lines.append(
        f"| {COMPUTED}, computed | | {each:.1f} s | {1000 / each:.1f} | {COMPUTED / one.workers:.0f} × at best |"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
