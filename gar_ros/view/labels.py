# SPDX-License-Identifier: Apache-2.0
"""Positions of labels: beside their region, inside the image, and covering no other label while there is room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from gar_ros.region import Box, Region

# Positions are searched on a grid of at most this many cells along the longer side: the time is bounded for any image.
_GRID_CELLS = 320
_REGION_MARGIN = 2  # cells between a label and its region
# Costs in label heights: covering a region entirely is as bad as lying four heights away from the label's own region.
_COVER_COST = 4.0
_CENTRE_COST = 0.05
_OVERLAP_COST = 1e4


class Spot(NamedTuple):
    """Position of a label. x, y: its top-left pixel. free: False when it had to cover another label."""

    x: int
    y: int
    free: bool


def arrange_labels(
    regions: Sequence[Region], sizes: Sequence[tuple[int, int]], image_size: tuple[int, int]
) -> list[Spot]:
    """One spot for each region's label, a pure function of the arguments.

    sizes: (width, height) of each label, pixels. image_size: (width, height) of the image, pixels.
    Labels are positioned one after the other, larger ones first. Each takes the cheapest of *all* grid positions, so a
    free one is found whenever there is one. The cost grows with the gap to the label's region and with the number of
    region pixels covered. A label larger than the image starts at the image's top-left corner.
    """
    cell = max(1, math.ceil(max(image_size) / _GRID_CELLS))
    columns, rows = max(1, image_size[0] // cell), max(1, image_size[1] // cell)
    covered = _coverage(regions, cell, (rows, columns))
    taken = np.zeros((rows, columns), np.uint8)
    order = sorted(range(len(regions)), key=lambda i: (-sizes[i][0] * sizes[i][1], regions[i].box, i))
    spots = [Spot(0, 0, False)] * len(regions)
    for i in order:
        width, height = min(math.ceil(sizes[i][0] / cell), columns), min(math.ceil(sizes[i][1] / cell), rows)
        overlap = _window_sums(taken, width, height)
        cost = _closeness_cost(regions[i].box, cell, (width, height), overlap.shape)
        cost += (_COVER_COST / (width * height)) * _window_sums(covered, width, height)
        cost += (_OVERLAP_COST / (width * height)) * overlap
        row, column = divmod(int(np.argmin(cost)), cost.shape[1])
        spots[i] = Spot(column * cell, row * cell, not overlap[row, column])
        taken[row : row + height, column : column + width] = 1
    return spots


def _coverage(regions: Sequence[Region], cell: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Number of regions (rows, columns) uint8 in each grid cell: a small object on a large one counts twice."""
    count = np.zeros(shape, np.uint16)
    for region in regions:
        x0, y0 = region.box[0] // cell, region.box[1] // cell
        part = region.mask[y0 * cell : region.box[3] : cell, x0 * cell : region.box[2] : cell]
        part = part[: shape[0] - y0, : shape[1] - x0]
        count[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] += part
    return np.minimum(count, 255).astype(np.uint8)


def _window_sums(cells: NDArray[np.uint8], width: int, height: int) -> NDArray[np.int32]:
    """Sum of `cells` under a window of width x height cells, at each position where it fits."""
    total = np.asarray(cv2.integral(cells), np.int32)
    return total[height:, width:] - total[:-height, width:] - total[height:, :-width] + total[:-height, :-width]


def _closeness_cost(box: Box, cell: int, size: tuple[int, int], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Cost of each position, `shape` float32, in label heights: the gap to the region plus a little of the distance of
    their centres."""
    gaps, offsets = [], []
    for axis, positions in ((1, shape[0]), (0, shape[1])):
        low, high = box[axis] / cell - _REGION_MARGIN, box[axis + 2] / cell + _REGION_MARGIN
        start = np.arange(positions, dtype=np.float32)
        end = start + size[axis]
        gaps.append(np.maximum(np.maximum(low - end, start - high), 0))
        offsets.append(np.abs((start + end) / 2 - (low + high) / 2))
    gap = np.sqrt(gaps[0][:, None] ** 2 + gaps[1][None, :] ** 2)
    offset = offsets[0][:, None] + offsets[1][None, :]
    return ((gap + _CENTRE_COST * offset) / size[1]).astype(np.float32)
