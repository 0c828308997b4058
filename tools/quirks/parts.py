# SPDX-License-Identifier: Apache-2.0
"""What single parts of the released code do: cells that are read, a set's order, what decoding drops, a resize."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

from gar_ros.engine.replay import RoiConvention, replay_weights
from gar_ros.engine.resize import bicubic
from gar_ros.engine.tiling import Grid

Range = tuple[float, float]

_SET_ORDER = "print(*{'<Prompt0>', '<Prompt1>', '<Prompt2>'})"


def cells_read(grid: Grid, tokens_per_side: int, convention: RoiConvention) -> tuple[Range, Range]:
    """First and last place that the replay of a box around the whole image reads, across and down, in feature cells."""
    wy, wx = replay_weights(np.array([[0.0, 0.0, 1.0, 1.0]]), grid, tokens_per_side, convention)
    across, down = (weights[0] @ np.arange(weights.shape[2]) for weights in (wx, wy))
    return (float(across[0]), float(across[-1])), (float(down[0]), float(down[-1]))


def set_orders(seeds: int) -> int:
    """How many orders a Python set of three prompts has over so many hash seeds, one process each."""
    orders = set()
    for seed in range(seeds):
        environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-S", "-c", _SET_ORDER]
        orders.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    return len(orders)


def without_special_tokens(tokenizer: Tokenizer, text: str) -> str:
    """A text as the released code decodes its tokens."""
    return str(tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=True))


def pillow_levels(image: NDArray[np.uint8], grid: Grid, tile: int) -> int:
    """Largest difference, in grey levels, of Pillow's own bicubic RGB resize from ours, of an image (H, W, 3)."""
    size = (grid[0] * tile, grid[1] * tile)
    theirs = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    return int(np.abs(theirs.astype(int) - bicubic(image, *size)).max())
