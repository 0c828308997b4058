# SPDX-License-Identifier: Apache-2.0
"""Command line options that benchmarks share."""

from __future__ import annotations

import argparse
from pathlib import Path

from gar_ros.engine.command_line import add_engine_arguments
from gar_ros.fleet.cluster import add_fleet_arguments


def add_run_arguments(parser: argparse.ArgumentParser, max_tokens: str) -> None:
    """The options of every run. max_tokens: what the default is, in words."""
    add_engine_arguments(parser, model_required=True)
    add_fleet_arguments(parser)
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="predictions; FILE.jsonl beside it holds what is answered so far, and the same command continues from it",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only the first N items")
    parser.add_argument("--max-tiles", type=positive, metavar="N", help="tiles of an image (default: the model's)")
    parser.add_argument(
        "--max-tokens", type=positive, metavar="N", help=f"limit of a free answer (default: {max_tokens})"
    )


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {number}")
    return number
