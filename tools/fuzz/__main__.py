# SPDX-License-Identifier: Apache-2.0
"""Feeds a door of gar_ros with changed inputs until it does what no input may make it do.

    python -m tools.fuzz DOOR [--seconds N] [--findings DIR]

Coverage-guided by atheris where it is installed (`pip install atheris`, on Linux), else by random changes. Whatever is
raised but a GarError is a finding: its input is written to DIR, and `--input FILE` gives it to the door once more.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tools.fuzz.mutation import changed_inputs

if TYPE_CHECKING:
    from tools.fuzz.doors import Door

NAMES = ("compressed", "images", "files", "rle", "manifest", "clouds", "depth", "cameras", "detections")
_LONGEST_SECONDS = 60  # for one input


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code is 1 after a finding (77 by atheris)."""
    parser = argparse.ArgumentParser("tools.fuzz", description="Looks for inputs that break a door of gar_ros.")
    parser.add_argument("door", choices=NAMES, help="which kind of input")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="how long (default: %(default)s)")
    parser.add_argument(
        "--findings", type=Path, default=Path("findings"), metavar="DIR", help="folder of inputs that broke the door"
    )
    parser.add_argument("--input", type=Path, metavar="FILE", help="a finding to give to the door, and nothing else")
    parser.add_argument("--random", action="store_true", help="random changes even if atheris is installed")
    args = parser.parse_args(arguments)
    if args.input:
        _door(args.door).enter(args.input.read_bytes())
        return 0
    args.findings.mkdir(parents=True, exist_ok=True)
    try:
        atheris = None if args.random else importlib.import_module("atheris")
    except ModuleNotFoundError:
        atheris = None
    if atheris is None:
        return _by_chance(_door(args.door), args.door, args.seconds, args.findings)
    with atheris.instrument_imports(include=["gar_ros"]):
        door = _door(args.door)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(door.seeds()):
            (Path(corpus) / f"seed{number}").write_bytes(seed)
        limits = [f"-max_total_time={args.seconds}", f"-timeout={_LONGEST_SECONDS}", "-max_len=4096", "-seed=1"]
        prefix = f"-artifact_prefix={args.findings}/{args.door}-"
        atheris.Setup(["fuzz", *limits, prefix, "-print_final_stats=1", corpus], door.enter)
        atheris.Fuzz()  # ends the process
    return 0


def _door(name: str) -> Door:
    """Imported late, so that atheris sees the imports of what it watches."""
    doors: dict[str, Door] = importlib.import_module("tools.fuzz.doors").DOORS
    return doors[name]


def _by_chance(door: Door, name: str, seconds: int, findings: Path) -> int:
    end, count, begun = time.monotonic() + seconds, 0, time.time_ns()
    for data in changed_inputs(door.seeds(), begun):
        if time.monotonic() > end:
            break
        try:
            door.enter(data)
        except BaseException:
            path = findings / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
            path.write_bytes(data)
            sys.stderr.write(f"finding: {path}\n")
            raise
        count += 1
    print(f"{name}: {count} inputs, no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
