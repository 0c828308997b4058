# SPDX-License-Identifier: Apache-2.0
"""Times what the host does to an image before the vision graph, against another checkout's code in the same run.

    python -m tools.tiling OTHER_CHECKOUT [--repeats 9]

Times are those of the processor, in one thread of this checkout's code: they hardly depend on what else the machine
does. The two take turns; the table has medians, and of the ratios of neighbouring turns the median. Pixels and masks
that differ end the run.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine import tiling

SIZES = ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))
MOST_TILES = (1, 4, 16)
TILE = 448
MASKS = 3


def load_tiling(checkout: Path) -> ModuleType:
    """The module gar_ros.engine.tiling of another checkout, with its own resize module."""
    resize = _load(checkout, "resize")
    with patch.dict(sys.modules, {"gar_ros.engine.resize": resize}):
        return _load(checkout, "tiling")


def _load(checkout: Path, name: str) -> ModuleType:
    file = checkout / "gar_ros" / "engine" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"other_{name}", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise SystemExit(f"expected a checkout of gar_ros, got {checkout}, which has no {file}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def photograph(width: int, height: int) -> NDArray[np.uint8]:
    """Coarse patches with noise, (height, width, 3): smooth and sharp places, as a photograph has them."""
    rng = np.random.default_rng(0)
    patches = rng.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.int16)
    image = np.kron(patches, np.ones((8, 8, 1), np.int16))[:height, :width]
    return (image + rng.integers(-20, 21, image.shape, dtype=np.int16)).clip(0, 255).astype(np.uint8)


def compared(
    before: Callable[..., Any], after: Callable[..., Any], arguments: tuple[Any, ...], repeats: int
) -> tuple[float, float, float]:
    """Median milliseconds of both and the median of their ratios, after one run of each whose results must be equal."""
    np.testing.assert_array_equal(before(*arguments), after(*arguments))
    turns = [(_milliseconds(before, arguments), _milliseconds(after, arguments)) for _ in range(repeats)]
    ratio = statistics.median(first / second for first, second in turns)
    return statistics.median(first for first, _ in turns), statistics.median(second for _, second in turns), ratio


def _milliseconds(work: Callable[..., Any], arguments: tuple[Any, ...]) -> float:
    start = time.process_time()
    work(*arguments)
    return (time.process_time() - start) * 1e3


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="a checkout with the code that was before")
    parser.add_argument("--repeats", type=int, default=9)
    args = parser.parse_args(argv)
    other = load_tiling(args.other)
    print("| image | tiles | pixels, ms before | after | times as fast | masks, ms before | after | times as fast |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for width, height in SIZES:
        image = photograph(width, height)
        masks = [np.zeros((height, width), bool) for _ in range(MASKS)]
        for number, mask in enumerate(masks):
            mask[height // 4 : height // 2, number * width // 4 : (number + 2) * width // 4] = True
        for most in MOST_TILES:
            grid = tiling.tile_grid(width, height, most, TILE)
            rows = (
                compared(other.tile_pixels, tiling.tile_pixels, (image, grid, TILE), args.repeats),
                compared(other.prompted, tiling.prompted, (masks, grid, TILE), args.repeats),
            )
            numbers = " | ".join(f"{before:.1f} | {after:.1f} | {ratio:.1f}" for before, after, ratio in rows)
            print(f"| {width}x{height} | {grid[0]}x{grid[1]} + 1 | {numbers} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
