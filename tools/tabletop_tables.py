# SPDX-License-Identifier: Apache-2.0
"""Tables of gar-tiny's card. Every row is what one `gar bench tabletop` with these options says.

python -m tools.tabletop_tables generalisation models/gar-tiny --scenes 200
python -m tools.tabletop_tables compare full=FILE.json mask=FILE.json   # files of --json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gar_ros.bench.tabletop import FIRST_SEED, add_arguments, measure, setting_of
from gar_ros.bench.tabletop_score import GROUPS
from gar_ros.engine.engine import GarEngine

SETTINGS = {
    "as in the table above": "",
    "320 x 240 px": "--size 320x240",
    "1280 x 720 px": "--size 1280x720",
    "1920 x 1080 px": "--size 1920x1080",
    "tables of any colour": "--any-table",
    "one to three objects": "--objects 1,3",
    "nine to twelve objects": "--objects 9,12",
    "JPEG, quality 50": "--jpeg 50",
    "JPEG, quality 20": "--jpeg 20",
    "boxes instead of masks": "--regions-as box",
    "masks eroded by 2 px": "--regions-as eroded:2",
    "masks dilated by 2 px": "--regions-as dilated:2",
    "masks shifted by 3 px": "--regions-as shifted:3",
    "all regions prompted (`features.mode: shared`)": "--features shared",
}


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = parser.add_subparsers(dest="table", required=True)
    generalisation = tables.add_parser("generalisation", help="the same questions about other pictures and regions")
    generalisation.add_argument("model", type=Path)
    generalisation.add_argument("--scenes", type=int, default=200)
    compare = tables.add_parser("compare", help="reports of --json side by side")
    compare.add_argument("reports", nargs="+", metavar="NAME=FILE")
    arguments = parser.parse_args()
    rows = generalised(arguments.model, arguments.scenes) if arguments.table == "generalisation" else named(arguments)
    print(f"| | {' | '.join(GROUPS)} |\n|---|{'---|' * len(GROUPS)}", flush=True)
    for name, report in rows:
        shares = [100 * report["groups"][group]["accuracy"] if group in report["groups"] else None for group in GROUPS]
        print(f"| {name} | {' | '.join('' if one is None else f'{one:.1f}' for one in shares)} |", flush=True)


def generalised(model: Path, scenes: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """A report for each of SETTINGS, asked through the same engine."""
    engine = GarEngine.open(model, provider="cpu")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    for name, options in SETTINGS.items():
        options_ = parser.parse_args(["--model", str(model), *options.split()])
        print(name, file=sys.stderr, flush=True)
        seeds = range(FIRST_SEED, FIRST_SEED + scenes)
        yield name, measure(engine, seeds, setting_of(options_), shared=options_.features == "shared")


def named(arguments: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The reports in files."""
    for one in arguments.reports:
        name, _, file = one.partition("=")
        yield name, json.loads(Path(file).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
