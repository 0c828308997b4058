# SPDX-License-Identifier: Apache-2.0
"""The options by which every command says which model it asks and what that runs on."""

from __future__ import annotations

import argparse
from pathlib import Path

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.select import GONE, PROVIDERS, Engines


def add_engine_arguments(parser: argparse.ArgumentParser, model_required: bool = False, provider: str = "auto") -> None:
    """Adds --model, --provider (by default `provider`), --engines and --threads."""
    add = parser.add_argument
    default = "" if model_required else " (default: the shipped gar-tiny)"
    add("--model", type=Path, required=model_required, metavar="DIR", help=f"exported model folder{default}")
    add("--provider", type=_provider, choices=PROVIDERS, default=provider, help="what to run on (default: %(default)s)")
    add(
        "--engines",
        type=Path,
        metavar="FOLDER",
        help="TensorRT's engines (default: where `gar build-engine` puts them)",
    )
    add("--threads", type=int, default=0, metavar="N", help="threads on the CPU (default: all cores)")


def _provider(text: str) -> str:
    """The name as it is, unless there is another one to use instead."""
    if text in GONE:
        raise argparse.ArgumentTypeError(GONE[text])
    return text


def open_engine(args: argparse.Namespace) -> GarEngine:
    """The engine that the options of `add_engine_arguments` name. Raises GarError BAD_MODEL or INVALID_REQUEST."""
    model = args.model or default_model_dir()
    return GarEngine.open(model, args.provider, args.threads, engines=Engines(args.engines))
