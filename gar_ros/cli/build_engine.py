# SPDX-License-Identifier: Apache-2.0
"""`gar build-engine`: TensorRT engines of an exported model, built once on the machine that will run them."""

from __future__ import annotations

import argparse
from pathlib import Path

from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.runtime.tensorrt.builder import BuildOptions
from gar_ros.engine.runtime.tensorrt.cache import EngineCache, default_cache_folder
from gar_ros.engine.runtime.tensorrt.engines import GRAPHS, EngineSource
from gar_ros.engine.runtime.tensorrt.installed import find_tensorrt, rtx_for
from gar_ros.errors import ErrorCode, GarError
from gar_ros.progress import timed_lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar build-engine`."""
    parser.add_argument(
        "model", nargs="?", type=Path, metavar="DIR", help="exported model folder (default: the shipped gar-tiny)"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="where engines are kept (default: ~/.cache/gar_ros/engines)"
    )
    parser.add_argument(
        "--workspace", type=_gib, default=0.0, metavar="GIB", help="memory for kernels (default: all of the GPU's)"
    )
    parser.add_argument(
        "--timing-cache", type=Path, metavar="FILE", help="kernel timings to reuse (default: one in the cache folder)"
    )
    parser.add_argument(
        "--rtx",
        type=lambda text: tuple(text.split(",")),
        metavar="SM86,..",
        help="build with TensorRT for RTX, once for each of these GPUs instead of this machine's; needs no GPU here",
    )


def run(args: argparse.Namespace) -> int:
    """Builds what is missing and prints each engine's path. Raises GarError, first of all when a GPU or TensorRT is."""
    wanted = [rtx_for(target) for target in dict.fromkeys(args.rtx)] if args.rtx else [find_tensorrt()]
    model = ModelDir.open(args.model or default_model_dir())
    cache = EngineCache(args.cache or default_cache_folder())
    options = BuildOptions(args.workspace, args.timing_cache)
    if args.timing_cache is not None:
        _check_writable(args.timing_cache)
    show = timed_lines()
    for tensorrt in wanted:
        source = EngineSource(model, tensorrt, cache, build=True, options=options)
        show(f"{tensorrt.version} for {tensorrt.gpu}, {model.manifest.name}, engines in '{cache.folder}'")
        if args.workspace and len(source.missing()) < len(GRAPHS):
            show("--workspace has no effect on engines that are there already: delete them to have them built with it")
        for graph in GRAPHS:
            print(source.engine(graph, show), flush=True)
    return 0


def _check_writable(path: Path) -> None:
    """Raises GarError INVALID_REQUEST now for a file that could not be written after the minutes of a build."""
    try:
        path.open("ab").close()
    except OSError as error:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected to write kernel timings to '{path}': {error}") from error


def _gib(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"expected GiB above 0, got '{text}'")
    return value
