# SPDX-License-Identifier: Apache-2.0
"""`gar bench NAME`: finds the benchmark's module and imports it alone."""

from __future__ import annotations

import argparse
import importlib

from gar_ros.errors import missing_package

BENCHMARKS = {
    "gar-bench": "answer GAR-Bench's questions or write its captions",
    "dlc-bench": "write DLC-Bench's captions",
    "ferret-bench": "write Ferret-Bench's descriptions",
    "mdvp-bench": "write MDVP-Bench's captions",
    "videorefer": "answer VideoRefer-BenchQ's questions about objects in videos",
    "score": "score a predictions file of GAR-Bench-VQA",
    "tabletop": "ask about rendered tabletops whose truth is known",
    "latency": "measure what a question costs, beside the released way on the same machine",
}
"""Name -> help. A further benchmark is a line here and its module, gar_ros.bench.gar_bench for gar-bench, with
add_arguments(parser) and run(args) -> exit code."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The name, and whatever the benchmark itself understands."""
    names = "; ".join(f"{name}: {text}" for name, text in BENCHMARKS.items())
    parser.add_argument("benchmark", choices=BENCHMARKS, metavar="name", help=names)
    parser.add_argument("options", nargs=argparse.REMAINDER, help="see `gar bench NAME --help`")
    parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
    """Runs the benchmark and returns its exit code. Raises GarError."""
    try:
        module = importlib.import_module(f"gar_ros.bench.{args.benchmark.replace('-', '_')}")
    except ModuleNotFoundError as error:
        raise missing_package(f"gar bench {args.benchmark}", error.name) from error
    text = BENCHMARKS[args.benchmark]
    parser = type(args.parser)(
        prog=f"{args.parser.prog} {args.benchmark}", description=text[0].upper() + text[1:] + "."
    )
    module.add_arguments(parser)
    return int(module.run(parser.parse_args(args.options)))
