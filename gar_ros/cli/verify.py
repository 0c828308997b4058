# SPDX-License-Identifier: Apache-2.0
"""`gar verify`: is an exported folder numerically the checkpoint it was made from?"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from gar_ros.cli.torch_side import import_export
from gar_ros.errors import ErrorCode, GarError
from gar_ros.pictures.files import load_image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar verify`."""
    parser.add_argument("model", type=Path, metavar="DIR", help="exported model folder")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="DIR", help="the checkpoint (default: where it was at export)"
    )
    parser.add_argument(
        "--provider", choices=("cpu", "openvino"), default="cpu", help="what runs the graphs (default: %(default)s)"
    )
    parser.add_argument(
        "--activations",
        nargs="?",
        const="",
        metavar="FILE",
        help="instead of comparing, show which activations come near float16's largest number; all of them as JSON "
        "into FILE. Needs no checkpoint",
    )
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a picture to ask about for --activations, whose halves are the regions; may be repeated (default: a "
        "synthetic one)",
    )
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="threads (default: all cores)")


def run(args: argparse.Namespace) -> int:
    """Prints each stage's largest difference; 1 when one is beyond its tolerance. Raises GarError."""
    if args.activations is not None:
        return _show_activations(args)
    passed = True
    print(f"{'stage':20} {'difference':>12} {'allowed':>12}")
    for stage in import_export("verify").verify(args.model, args.checkpoint, args.threads, args.provider):
        result = "ok" if stage.passed else "FAILED"
        print(f"{stage.name:20} {stage.difference:12.3g} {stage.allowed:12.3g}  {result}", flush=True)
        passed &= stage.passed
    return 0 if passed else 1


def _show_activations(args: argparse.Namespace) -> int:
    """Prints the largest activations; 1 when one is beyond float16's largest number. Raises GarError."""
    module = import_export("activations")
    with ExitStack() as opened:
        # Opened first, so that a file that can't be written is told before the minutes that the rest may take.
        file = opened.enter_context(_writable(args.activations)) if args.activations else None
        found = module.largest_activations(args.model, args.threads, [load_image(image) for image in args.image])
        print(module.as_text(found), end="")
        if file is not None:
            file.write(module.as_json(found, str(args.model)))
    return 0 if all(one.largest <= module.LIMIT for one in found) else 1


def _writable(file: str) -> TextIO:
    try:
        return Path(file).open("w", encoding="utf-8")
    except OSError as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected to write activations to '{file}': {error}") from error
