# SPDX-License-Identifier: Apache-2.0
"""`gar doctor`: what is on this machine to run a model with, what is missing, and the one next step."""

from __future__ import annotations

import argparse
from pathlib import Path

from gar_ros.doctor.checks import report
from gar_ros.doctor.gather import gather
from gar_ros.doctor.text import as_json, as_text
from gar_ros.errors import ErrorCode, GarError
from gar_ros.files import write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar doctor`."""
    parser.add_argument("model", nargs="?", type=Path, metavar="DIR", help="exported model folder to look at, too")
    parser.add_argument(
        "--engines",
        type=Path,
        metavar="FOLDER",
        help="TensorRT's engines (default: where `gar build-engine` puts them)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all that was found, as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the table; 1 where nothing can serve. Raises GarError INVALID_REQUEST for a file that can't be written."""
    facts = gather(args.model, args.engines)
    made = report(facts)
    print(as_text(made), end="")
    if args.json is not None:
        try:
            write_atomically(args.json, as_json(made, facts).encode())
        except OSError as error:
            raise GarError(ErrorCode.INVALID_REQUEST, f"'{args.json}' can't be written: {error.strerror}") from error
    return 0 if made.serves else 1
