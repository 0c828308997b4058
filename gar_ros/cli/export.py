# SPDX-License-Identifier: Apache-2.0
"""`gar export`: a checkpoint becomes the folder that the runtime loads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from gar_ros.cli.torch_side import import_export
from gar_ros.engine.model_dir.manifest import KvForm

_KV_CACHES = get_args(KvForm)
PRECISIONS = ("fp32", "fp16", "bf16", "int4-gpu", "int8", "int4", "mixed")
"""As in gar_export/precision.py, which needs torch's companions."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar export`."""
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="DIR", help="folder in GAR's released format")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new folder, or an export to replace")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="for a GPU fp16, bf16 (TensorRT alone runs it), or int4-gpu: int4 decoder weights, all else fp16; for the "
        "CPU int8 or int4 decoder weights, or mixed: int4 and vision in int8 (default: %(default)s)",
    )
    parser.add_argument(
        "--kv-cache",
        choices=_KV_CACHES,
        help="how the decoder takes keys and values of earlier tokens: joined for any runtime; split for the CPU; or "
        "static for TensorRT 10.15 or newer and TensorRT for RTX, which write new ones in place (default: joined, but "
        "split with int8, int4 and mixed)",
    )
    parser.add_argument(
        "--max-positions",
        type=int,
        metavar="N",
        help="the longest prompt with its answer, in tokens; a static cache takes the memory of all of them (default: "
        "the checkpoint's)",
    )
    parser.add_argument("--name", help="the model's name (default: the checkpoint folder's)")
    parser.add_argument(
        "--notice",
        metavar="TEXT",
        help="what users must know before they trust its answers, in one line; the node and `gar ask` say it when they "
        "load the model (default: the checkpoint's notice.txt, if it has one)",
    )


def run(args: argparse.Namespace) -> int:
    """Writes the model folder. Raises GarError BAD_MODEL or INVALID_REQUEST."""
    export = import_export("exporter").export_checkpoint
    options = {"kv_cache": args.kv_cache, "max_positions": args.max_positions}
    export(args.checkpoint, args.out, args.name, args.precision, args.notice, **options)
    return 0
