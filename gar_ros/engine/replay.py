# SPDX-License-Identifier: Apache-2.0
"""Feature replay: RoI align from the merged feature map of all tiles to a region's replay tokens.

RoI align (sampling ratio 2, aligned, as in torchvision) separates into one matrix of bilinear weights for each axis.
They are computed here, so the graph is two matrix products and knows nothing of how boxes are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.tiling import Grid
from gar_ros.region import Region

RoiConvention = Literal["correct", "released"]

_SAMPLES = 2  # along one axis of a bin
_RELEASED_SECOND_SCALE = 1 / 28  # modeling_gar.py scales boxes that are in feature cells already once more


def region_boxes(regions: Sequence[Region]) -> NDArray[np.float64]:
    """Boxes (R, 4) of R regions: x0, y0, x1, y1 as fractions of the image's width and height.

    Inclusive as in the released code: [first, last] pixel / image size, without + 1, so a region one pixel wide has
    no width.
    """
    return np.array([_inclusive_box(region) for region in regions], np.float64).reshape(-1, 4)


def _inclusive_box(region: Region) -> tuple[float, float, float, float]:
    (height, width), (x0, y0, x1, y1) = region.mask.shape, region.box
    return x0 / width, y0 / height, (x1 - 1) / width, (y1 - 1) / height


def mask_boxes(masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Boxes (R, 4) as `region_boxes` gives them, of R masks (H, W). Raises GarError EMPTY_MASK."""
    return region_boxes([Region.from_mask(str(number), mask) for number, mask in enumerate(masks)])


def replay_weights(
    boxes: NDArray[np.floating], grid: Grid, tokens_per_side: int, convention: RoiConvention
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bilinear weights `wy` (R, g, g * tiles_h) and `wx` (R, g, g * tiles_w), float32, of R boxes of `region_boxes`.

    tokens_per_side: g, the number of cells along a side of a tile on the merged map, and of a region's replay grid.
    convention: "released" scales the boxes by 1/28 a second time, as the released weights were trained with; "correct"
    does not.
    """
    corners = np.asarray(boxes, np.float64)
    tiles_w, tiles_h = grid
    scale = {"correct": 1.0, "released": _RELEASED_SECOND_SCALE}[convention]
    wx = _axis_weights(corners[:, 0], corners[:, 2], tokens_per_side, tokens_per_side * tiles_w, scale)
    wy = _axis_weights(corners[:, 1], corners[:, 3], tokens_per_side, tokens_per_side * tiles_h, scale)
    return wy, wx


def _axis_weights(
    low: NDArray[np.float64], high: NDArray[np.float64], bins: int, cells: int, scale: float
) -> NDArray[np.float32]:
    """Weights (R, bins, cells) float32 of each cell in each bin between `low` and `high`, both (R,) in 0..1."""
    start, end = low * cells * scale, high * cells * scale
    steps = (np.arange(bins * _SAMPLES) + 0.5) / (bins * _SAMPLES)
    # Cell i covers i..i+1, its value sits at i + 0.5: hence the half cell that "aligned" subtracts.
    points = start[:, None] + (end - start)[:, None] * steps - 0.5
    points = np.clip(points, 0, cells - 1)
    samples = np.maximum(0, 1 - np.abs(points[:, :, None] - np.arange(cells)))
    weights: NDArray[np.float32] = samples.reshape(len(low), bins, _SAMPLES, cells).mean(2).astype(np.float32)
    return weights
