# SPDX-License-Identifier: Apache-2.0
"""Weights of few bits for the CPU, as ONNX Runtime's MatMulNBits takes them; gpu_weights.py has those for GPUs.

A linear layer's row of weights is cut into blocks with one float32 scale each; a weight is
(number - 2^(bits-1)) * scale. At run time activations become int8 by the same blocks ("accuracy level 4"), which
makes the products integer products. (ONNX Runtime's own quantiser rounds alike but wants the whole model in memory, and
importing it turns on everyone's logging.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

BLOCK = 128
"""Number of weights of a row that share a scale."""
INT8_ACTIVATIONS = 4  # the operator's accuracy_level

_PIECE = 1024  # rows at once, so that a language model head is not copied several times
_TRIED = {8: (1.0,), 4: (1.0, 0.94, 0.88, 0.82, 0.76, 0.7)}
"""Bits -> shares of a block's largest weight that may be the end of its scale; of 16 numbers, a block of 128 has a few
too many in its tails, and cutting off the largest weights costs less than coarse steps cost all others."""


@dataclass(frozen=True)
class Quantised:
    """A linear layer's weight [N, K] of N outputs and K inputs."""

    packed: NDArray[np.uint8]  # [N, ceil(K / block), block * bits / 8]; of two numbers in a byte the lower comes first
    scales: NDArray[np.float32]  # [N, ceil(K / block)]
    bits: int
    inputs: int  # K

    @property
    def block(self) -> int:
        """Number of weights that share a scale."""
        return self.packed.shape[2] * 8 // self.bits

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the MatMulNBits that multiplies with this weight."""
        sizes = {"K": self.inputs, "N": len(self.packed), "bits": self.bits, "block_size": self.block}
        return {**sizes, "accuracy_level": INT8_ACTIVATIONS}

    def rows(self) -> NDArray[np.float32]:
        """The weight [N, K] that these numbers stand for."""
        numbers = self.packed
        if self.bits == 4:
            numbers = np.stack([numbers & 15, numbers >> 4], -1).reshape(*self.scales.shape, self.block)
        values = (numbers.astype(np.float32) - np.float32(1 << (self.bits - 1))) * self.scales[..., None]
        return values.reshape(len(values), -1)[:, : self.inputs]


def quantise(rows: NDArray[np.float32], bits: int, block: int = BLOCK) -> Quantised:
    """Rounds a weight [N, K] to numbers of 4 or 8 bits, with the scales that lose least (least squares).

    block: number of weights that share a scale.
    """
    pieces = [_quantise(rows[start : start + _PIECE], bits, block) for start in range(0, len(rows), _PIECE)]
    packed, scales = (np.concatenate([piece[part] for piece in pieces]) for part in (0, 1))
    return Quantised(packed, scales, bits, rows.shape[1])


def _quantise(rows: NDArray[np.float32], bits: int, block: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % block)))
    blocks = padded.reshape(len(rows), -1, block)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(-1, keepdims=True), -1)
    half = 1 << (bits - 1)
    # Numbers go from -half to half - 1: the largest weight, whatever its sign, becomes -half.
    scales = fitted_scales(blocks, largest / np.float32(-half), bits)
    numbers = (rounded(blocks, scales, half) + half).astype(np.uint8)
    if bits == 4:
        numbers = numbers[..., ::2] | (numbers[..., 1::2] << np.uint8(4))
    return numbers, scales[..., 0]


def fitted_scales(
    blocks: NDArray[np.float32], ends: NDArray[np.float32], bits: int, dtype: DTypeLike = np.float32
) -> NDArray[np.float32]:
    """The scale [N, blocks, 1] of each block [N, blocks, block] that loses least, of those tried.

    ends: the scales [N, blocks, 1] that cut off no weight. dtype: the type that scales are stored in; those returned
    are its numbers.
    """
    scales, least = ends, np.full_like(ends, np.inf)
    for share in _TRIED[bits]:
        tried = (ends * np.float32(share)).astype(dtype).astype(np.float32)
        lost = rounded(blocks, tried, 1 << (bits - 1))
        lost *= tried
        lost -= blocks
        error = np.einsum("nkb,nkb->nk", lost, lost)[..., None]
        scales = np.where(error < least, tried, scales)
        least = np.minimum(error, least)
    return scales


def rounded(blocks: NDArray[np.float32], scales: NDArray[np.float32], half: int) -> NDArray[np.float32]:
    """The numbers, -half to half - 1, nearest to the weights; 0 in a block of zeros."""
    ratios = np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales != 0)
    return np.clip(np.rint(ratios, out=ratios), -half, half - 1, out=ratios)
