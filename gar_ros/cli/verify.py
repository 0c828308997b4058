# SPDX-License-Identifier: Apache-2.0
"""`gar verify`: is an exported folder numerically the checkpoint it was made from?"""

from __future__ import annotations

import argparse
from pathlib import Path

from gar_ros.cli.torch_side import import_export


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar verify`."""
    parser.add_argument("model", type=Path, metavar="DIR", help="exported model folder")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="DIR", help="the checkpoint (default: where it was at export)"
    )
    parser.add_argument(
        "--provider", choices=("cpu", "openvino"), default="cpu", help="what runs the graphs (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads (default: all cores)")


def run(args: argparse.Namespace) -> int:
    """Prints each stage's largest difference; 1 when one is beyond its tolerance. Raises GarError."""
    passed = True
    print(f"{'stage':20} {'difference':>12} {'allowed':>12}")
    for stage in import_export("verify").verify(args.model, args.checkpoint, args.threads, args.provider):
        result = "ok" if stage.passed else "FAILED"
        print(f"{stage.name:20} {stage.difference:12.3g} {stage.allowed:12.3g}  {result}", flush=True)
        passed &= stage.passed
    return 0 if passed else 1
