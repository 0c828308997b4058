# SPDX-License-Identifier: Apache-2.0
"""Resizes images as torch does, to the last grey level, without torch.

torch computes the antialiased bicubic in float32. The same sums in another order round to another grey level where the
value is nearly halfway between two levels (up to 0.07 % of the released tiles' values, with Pillow). Only these values
are computed again in torch's order (aten/src/ATen/native/cpu/UpSampleKernel.cpp in its x86-64 builds).

All others come from products with bands of an axis's matrix, a block of output rows at a time: what is between two
steps of a block stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.in_threads import in_threads

Float = NDArray[np.float32]
Kind = TypeVar("Kind", np.uint8, np.bool_)

_A = np.float32(-0.5)  # of Keys' cubic
_SUPPORT = 2.0  # source pixels to each side when enlarging
_NEARLY_HALF = np.float32(1e-3)  # grey levels, ten times what the order of the sums changes
_VECTOR = 4  # taps that torch's loop multiplies together, unfused; the rest it fuses with the sum
_BATCH = 1 << 12  # values computed again at a time
_ROWS = 8  # output rows of one product: their taps are nearly the same
_COLUMNS = 32  # output columns of one product where none are dropped: more, since products along rows are short
_BLOCK = 4  # bands of rows that go through all steps together
_PRODUCT = 1 << 18  # multiplications of one product; OpenBLAS takes one thread for so few, and needs no more time


class _Taps(NamedTuple):
    """The source pixels that each output pixel of an axis is a weighted sum of."""

    source: NDArray[np.int64]  # (size_out, max_taps)
    weights: Float  # (size_out, max_taps), 0 beyond the number used
    used: NDArray[np.int64]  # (size_out,), number of taps


class _Band(NamedTuple):
    """Neighbouring output pixels of an axis, all as weighted sums of the same source pixels."""

    output: slice
    source: slice
    weights: Float  # (source, output), mostly 0


class _Axis(NamedTuple):
    taps: _Taps
    bands: list[_Band]


def bicubic(image: NDArray[np.uint8], width: int, height: int, threads: int = 1) -> NDArray[np.uint8]:
    """An (H, W, 3) uint8 image resized to (3, height, width) uint8 by torchvision's antialiased bicubic (a = -0.5).

    threads: 0 for all cores.
    """
    image = np.ascontiguousarray(image)
    rows = _axis(image.shape[0], height, _ROWS)
    columns = _axis(image.shape[1], width, max(_COLUMNS * width // max(image.shape[1], width), _ROWS))
    planes = np.empty((3, height, width), np.uint8)

    def resize(first: int) -> NDArray[np.int64]:
        return _fill_rows(planes, image, rows.bands[first : first + _BLOCK], columns.bands)

    halfway = np.concatenate(in_threads(resize, range(0, len(rows.bands), _BLOCK), threads))

    def correct(start: int) -> None:
        indexes = halfway[start : start + _BATCH]
        planes.reshape(-1)[indexes] = np.rint(_torch_values(image, columns.taps, rows.taps, indexes).clip(0, 255))

    in_threads(correct, range(0, len(halfway), _BATCH), threads)
    return planes


def _fill_rows(
    planes: NDArray[np.uint8], image: NDArray[np.uint8], rows: Sequence[_Band], columns: Sequence[_Band]
) -> NDArray[np.int64]:
    """Fills these rows of the planes (3, height, width); flat indexes of those values that are nearly halfway."""
    _, height, width = planes.shape
    begin, end = rows[0].output.start, rows[-1].output.stop
    along_rows = _lower(image, rows).transpose(2, 0, 1).reshape(3 * (end - begin), -1)
    values = np.empty((len(along_rows), width), np.float32)
    for band in columns:
        np.matmul(along_rows[:, band.source], band.weights, out=values[:, band.output])
    levels = np.rint(values)
    np.subtract(values, levels, out=values)
    np.abs(values, out=values)
    channel, index = np.divmod(np.flatnonzero(values > np.float32(0.5) - _NEARLY_HALF), (end - begin) * width)
    np.clip(levels, 0, 255, out=levels)
    planes[:, begin:end] = levels.reshape(3, end - begin, width)
    return (channel * height + begin) * width + index


def _lower(image: NDArray[np.uint8], rows: Sequence[_Band]) -> Float:
    """These rows (n, W, 3) of an image (H, W, 3) that is resized along its height alone."""
    flat = image.reshape(len(image), -1)
    begin = rows[0].output.start
    lowered = np.empty((rows[-1].output.stop - begin, flat.shape[1]), np.float32)
    for band in rows:
        target = lowered[band.output.start - begin : band.output.stop - begin]
        step = max(_PRODUCT // band.weights.size, 1)
        for left in range(0, flat.shape[1], step):
            part = np.s_[left : left + step]
            np.matmul(band.weights.T, flat[band.source, part].astype(np.float32), out=target[:, part])
    return lowered.reshape(len(lowered), *image.shape[1:])


def _torch_values(image: NDArray[np.uint8], columns: _Taps, rows: _Taps, indexes: NDArray[np.int64]) -> Float:
    """torch's values (K,) at flat indexes (K,) of the planes (3, height, width): along rows first, then columns."""
    channel, row, column = np.unravel_index(indexes, (3, len(rows.used), len(columns.used)))
    flat, (_, width, channels) = image.reshape(-1), image.shape
    starts, across = rows.source[row].T * (width * channels) + channel, columns.source[column].T * channels
    along_rows = _sum_of_taps(
        lambda tap: flat[starts + across[tap]].astype(np.float32), columns.weights[column].T, columns.used[column]
    )
    return _sum_of_taps(along_rows.__getitem__, rows.weights[row].T, rows.used[row])


@lru_cache(maxsize=16)  # a camera's images have one size
def _axis(size_in: int, size_out: int, band: int) -> _Axis:
    """An axis with its taps by bands of so many output pixels."""
    taps = _taps(size_in, size_out)
    bands = []
    for begin in range(0, size_out, band):
        source, weights = taps.source[begin : begin + band], taps.weights[begin : begin + band]
        low, high = int(source.min()), int(source.max()) + 1
        matrix = np.zeros((high - low, len(source)), np.float32)
        np.add.at(matrix, (source - low, np.arange(len(source))[:, None]), weights)
        bands.append(_Band(slice(begin, begin + len(source)), slice(low, high), matrix))
    return _Axis(taps, bands)


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


def _sum_of_taps(value_of: Callable[[int], Float], weights: Float, used: NDArray[np.int64]) -> Float:
    """Sums (..., K) of values * weights over the taps used, rounded as torch's loop rounds.

    value_of: the values (..., K) of a tap. weights: (taps, K), 0 beyond the number used (K,).
    """
    total: Float = value_of(0) * weights[0]
    unfused = (used - 1) // _VECTOR * _VECTOR
    fewest, most = unfused.min(), unfused.max()
    for tap, weight in enumerate(weights[1:], 1):
        value = value_of(tap)
        if tap <= fewest:
            total = total + value * weight
        elif tap > most:
            total = _fused(value, weight, total)
        else:
            total = np.where(tap <= unfused, total + value * weight, _fused(value, weight, total))
    return total


def _fused(a: Float | np.float32, b: Float, c: Float | np.float32) -> Float:
    """a * b + c with a single rounding to float32."""
    result: Float = (np.multiply(a, b, dtype=np.float64) + c).astype(np.float32)
    return result


def nearest(canvas: NDArray[Kind], width: int, height: int) -> NDArray[Kind]:
    """An (H, W) image resized to (height, width) by its nearest neighbours."""
    rows, columns = nearest_index(canvas.shape[0], height), nearest_index(canvas.shape[1], width)
    return canvas.take(columns, axis=1).take(rows, axis=0)  # half the time of np.ix_, and less where it enlarges


def nearest_index(size_in: int, size_out: int) -> NDArray[np.int64]:
    """Source index of each output pixel by torch's rule, float32 floor(i * in / out); Pillow's differs."""
    scale = np.float32(size_in) / np.float32(size_out)
    index: NDArray[np.int64] = np.floor(np.arange(size_out, dtype=np.float32) * scale).astype(np.int64)
    return index.clip(max=size_in - 1)
