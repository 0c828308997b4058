"""Weights of few bits for the decoder on the CPU: MatMulNBits of ONNX Runtime, whose own quantiser rounds them.

Each column of a matrix is cut into blocks of 32 rows with one float32 scale; symmetric, so a weight is
(q - 2^(bits-1)) * scale. At run time activations become int8 by blocks of 32 as well ("accuracy level 4"), which makes
the products integer products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, DefaultWeightOnlyQuantizer

BLOCK = 32
INT8_ACTIVATIONS = 4  # the operator's accuracy_level

_PIECE = 8192  # columns quantised at once, so that a language model head needs no copy of itself


@dataclass(frozen=True)
class Quantised:
    """A matrix [K, N] of K inputs and N outputs, as MatMulNBits takes it."""

    packed: NDArray[np.uint8]  # [N, ceil(K / BLOCK), BLOCK * bits / 8], the lower half of a byte first
    scales: NDArray[np.float32]  # [N, ceil(K / BLOCK)]
    bits: int
    inputs: int  # K

    def matrix(self) -> NDArray[np.float32]:
        """The matrix [K, N] that these numbers stand for."""
        numbers = self.packed
        if self.bits == 4:
            numbers = np.stack([numbers & 15, numbers >> 4], -1).reshape(*numbers.shape[:2], BLOCK)
        offset = np.float32(1 << (self.bits - 1))
        columns = (numbers.astype(np.float32) - offset) * self.scales[..., None]
        return columns.reshape(len(columns), -1)[:, : self.inputs].T


def quantise(rows: NDArray[np.float32], bits: int) -> Quantised:
    """Quantises a linear layer's weight [N, K] (a row for each output, as checkpoints hold it). bits: 4 or 8."""
    quantiser = DefaultWeightOnlyQuantizer(
        DefaultWeightOnlyQuantConfig(block_size=BLOCK, is_symmetric=True, accuracy_level=INT8_ACTIVATIONS, bits=bits)
    )
    pieces = [
        quantiser.qbits_block_quant(np.ascontiguousarray(rows[start : start + _PIECE].T))
        for start in range(0, len(rows), _PIECE)
    ]
    packed, scales = (np.concatenate([piece[part] for piece in pieces]) for part in (0, 1))
    return Quantised(packed, scales, bits, rows.shape[1])
