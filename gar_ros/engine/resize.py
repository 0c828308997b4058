# SPDX-License-Identifier: Apache-2.0
"""Resizes images as torch does, to the last grey level, without torch.

torch computes the antialiased bicubic in float32. The same sums in another order round to another grey level where the
value is nearly halfway between two levels (up to 0.07 % of the released tiles' values, with Pillow). Only these values
are computed again in torch's order (aten/src/ATen/native/cpu/UpSampleKernel.cpp in its x86-64 builds).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

_A = np.float32(-0.5)  # of Keys' cubic
_SUPPORT = 2.0  # source pixels to each side when enlarging
_NEARLY_HALF = 1e-3  # grey levels, ten times what the order of the sums changes
_VECTOR = 4  # taps that torch's loop multiplies together, unfused; the rest it fuses with the sum
_BATCH = 1 << 15  # values computed again at a time, to bound memory
_BAND = 8  # output pixels of an axis that are computed by one product: their taps are nearly the same
_PRODUCT = 1 << 18  # multiplications of one product; OpenBLAS takes one thread for so few, and needs no more time


class _Taps(NamedTuple):
    """The source pixels that each output pixel of an axis is a weighted sum of."""

    source: NDArray[np.int64]  # (size_out, max_taps)
    weights: Float  # (size_out, max_taps), 0 beyond the number used
    used: NDArray[np.int64]  # (size_out,), number of taps


def bicubic(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """An (H, W, 3) uint8 image resized to (3, height, width) uint8 by torchvision's antialiased bicubic (a = -0.5)."""
    columns, rows = _taps(image.shape[1], width), _taps(image.shape[0], height)
    lowered = _resize_first_axis(image, rows)
    values = np.ascontiguousarray(_resize_first_axis(lowered.transpose(1, 0, 2), columns).transpose(1, 0, 2))
    halfway = np.flatnonzero(np.abs(values - np.floor(values) - 0.5) < _NEARLY_HALF)
    for start in range(0, len(halfway), _BATCH):
        indexes = halfway[start : start + _BATCH]
        values.reshape(-1)[indexes] = _torch_values(image, columns, rows, indexes)
    rounded: NDArray[np.uint8] = np.rint(values.clip(0, 255)).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(rounded, 2, 0))


def _resize_first_axis(pixels: NDArray[np.uint8] | Float, taps: _Taps) -> Float:
    """Pixels (n, m, 3) resized along the first axis to (size_out, m, 3) float32."""
    flat = np.ascontiguousarray(pixels).reshape(len(pixels), -1)
    total = np.empty((len(taps.source), flat.shape[1]), np.float32)
    for begin in range(0, len(total), _BAND):
        source, weights = taps.source[begin : begin + _BAND], taps.weights[begin : begin + _BAND]
        low, high = int(source.min()), int(source.max()) + 1
        band = np.zeros((len(source), high - low), np.float32)
        np.add.at(band, (np.arange(len(source))[:, None], source - low), weights)
        window = flat[low:high].astype(np.float32, copy=False)
        step = max(_PRODUCT // band.size, 1)
        for left in range(0, flat.shape[1], step):
            part = np.s_[left : left + step]
            np.matmul(band, window[:, part], out=total[begin : begin + _BAND, part])
    return total.reshape(len(total), *pixels.shape[1:])


def _torch_values(image: NDArray[np.uint8], columns: _Taps, rows: _Taps, indexes: NDArray[np.int64]) -> Float:
    """torch's values (K,) at flat indexes (K,) of the result (height, width, 3): along rows first, then columns."""
    row, column, channel = np.unravel_index(indexes, (len(rows.used), len(columns.used), image.shape[2]))
    patches = image[rows.source[row][:, :, None], columns.source[column][:, None, :], channel[:, None, None]]
    along_rows = _sum_of_taps(
        patches.astype(np.float32), columns.weights[column][:, None], columns.used[column][:, None]
    )
    return _sum_of_taps(along_rows, rows.weights[row], rows.used[row])


def _taps(size_in: int, size_out: int) -> _Taps:
    """The taps of an axis, each step of their computation in float32 or double as in torch."""
    scale = float(np.float32(size_in) / np.float32(size_out))
    support = np.float32(_SUPPORT * max(scale, 1.0))
    sharpness = float(np.float32(1 / max(scale, 1.0)))
    center = (scale * (np.arange(size_out) + 0.5)).astype(np.float32)
    first = np.maximum(((center - support).astype(np.float64) + 0.5).astype(np.int64), 0)
    end = np.minimum(((center + support).astype(np.float64) + 0.5).astype(np.int64), size_in)
    used = end - first
    taps = np.arange(used.max())
    source = first[:, None] + taps
    distance = (source.astype(np.float32) - center[:, None]).astype(np.float64) + 0.5
    weights = _cubic(np.abs((distance * sharpness).astype(np.float32)))
    weights[taps >= used[:, None]] = 0
    total = np.zeros(size_out, np.float32)
    for tap in taps:
        total += weights[:, tap]
    return _Taps(source.clip(max=size_in - 1), weights / total[:, None], used)


def _cubic(x: Float) -> Float:
    """Keys' cubic at distances x >= 0."""
    near = _fused(_fused(_A + 2, x, -(_A + 3)) * x, x, np.float32(1))
    far = _fused(_fused(_fused(_A, x, -5 * _A), x, 8 * _A), x, -4 * _A)
    return np.where(x < 1, near, np.where(x < 2, far, np.float32(0)))


def _sum_of_taps(values: Float, weights: Float, used: NDArray[np.int64]) -> Float:
    """Sum of values * weights over the taps used, along the last axis, rounded as torch's loop rounds."""
    total: Float = values[..., 0] * weights[..., 0]
    unfused = (used - 1) // _VECTOR * _VECTOR
    for tap in range(1, values.shape[-1]):
        value, weight = values[..., tap], weights[..., tap]
        more = np.where(tap <= unfused, total + value * weight, _fused(value, weight, total))
        total = np.where(tap < used, more, total)
    return total


def _fused(a: Float | np.float32, b: Float, c: Float | np.float32) -> Float:
    """a * b + c with a single rounding to float32."""
    result: Float = (np.multiply(a, b, dtype=np.float64) + c).astype(np.float32)
    return result


def nearest(canvas: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """An (H, W) image resized to (height, width) by its nearest neighbours."""
    return canvas[np.ix_(nearest_index(canvas.shape[0], height), nearest_index(canvas.shape[1], width))]


def nearest_index(size_in: int, size_out: int) -> NDArray[np.int64]:
    """Source index of each output pixel by torch's rule, float32 floor(i * in / out); Pillow's differs."""
    scale = np.float32(size_in) / np.float32(size_out)
    index: NDArray[np.int64] = np.floor(np.arange(size_out, dtype=np.float32) * scale).astype(np.int64)
    return index.clip(max=size_in - 1)
