# SPDX-License-Identifier: Apache-2.0
"""replay.onnx: the tiles' features and bilinear weights -> the regions' replay tokens.

RoI align is bilinear, so it is separable: with the weights of each axis made by the host (engine/replay.py) it is two
matrix products. They run everywhere and take any box convention; TensorRT-RTX can't even parse the RoiAlign operator
without a GPU.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from gar_export.config import GarConfig
from gar_export.graph import GraphBuilder


def write_replay(path: Path, config: GarConfig, dtype: DTypeLike = np.float32) -> None:
    """Writes the graph: `tile_features` [T', g*g, H] (T' = tiles_h * tiles_w, no thumbnail), `wy` [R, g, g*tiles_h],
    `wx` [R, g, g*tiles_w] -> `replay` [R, g*g, H]."""
    side, hidden = config.grid, config.decoder.hidden
    graph = GraphBuilder("gar_replay", path)
    features = graph.input("tile_features", dtype, ["tiles", side * side, hidden])
    wy = graph.input("wy", dtype, ["regions", side, "map_height"])
    wx = graph.input("wx", dtype, ["regions", side, "map_width"])

    map_height = graph.op("Shape", wy, start=2, end=3)
    map_width = graph.op("Shape", wx, start=2, end=3)
    tiles_w = graph.op("Div", map_width, graph.const([side]))
    tiles_shape = graph.op("Concat", graph.const([-1]), tiles_w, graph.const([side, side, hidden]), axis=0)
    tiles = graph.op("Reshape", features, tiles_shape)  # [tiles_h, tiles_w, g, g, H]
    merged = graph.op("Transpose", tiles, perm=[0, 2, 1, 3, 4])  # [tiles_h, g, tiles_w, g, H]
    merged_shape = graph.op("Concat", map_height, graph.const([-1]), axis=0)
    merged = graph.op("Reshape", merged, merged_shape)  # [map_height, map_width * H]

    rows = graph.op("MatMul", wy, merged)  # [R, g, map_width * H]
    rows_shape = graph.op("Concat", graph.const([0, side]), map_width, graph.const([hidden]), axis=0)
    rows = graph.op("Reshape", rows, rows_shape)  # [R, g, map_width, H]
    cells = graph.op("MatMul", graph.op("Unsqueeze", wx, graph.const([1])), rows)  # [R, g, g, H]
    graph.op("Reshape", cells, graph.const([0, side * side, hidden]), out="replay")
    graph.output("replay", dtype, ["regions", side * side, hidden])
    graph.save()
