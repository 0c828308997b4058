# SPDX-License-Identifier: Apache-2.0
"""Weights of few bits for GPUs: symmetric, as the standard operator DequantizeLinear before MatMul.

TensorRT fuses the two into one product that reads 4 or 8 bits a weight. A weight is number * scale, with scales above 0
in the type of the activations. Numbers of 4 bits share a scale by blocks along the inputs of a layer. Those of 8 bits,
for the output head, share it by outputs: TensorRT would unfold blocks of int8 in a kernel of its own, for each token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gar_export.graph import BLOCKS_OPSET, GraphBuilder
from gar_export.quantise import fitted_scales, rounded
from gar_ros.errors import ErrorCode, GarError

BLOCKS = (128, 64, 32)
"""Numbers of weights that may share a scale: the largest that divides a layer's inputs is taken. TensorRT takes no
block that is cut off at the end."""

_PIECE = 1024  # rows at once, so that a language model head is not copied several times
_LARGEST_INT8 = 127


@dataclass(frozen=True)
class SymmetricWeight:
    """A weight of K inputs and N outputs, transposed as MatMul takes it."""

    numbers: NDArray[np.int8]  # [K, N]
    scales: NDArray[np.floating]  # [K / block, N], or [N] where all inputs share one
    bits: int

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of the DequantizeLinear that reads this weight."""
        if self.scales.ndim == 1:
            return {"axis": 1}
        return {"axis": 0, "block_size": len(self.numbers) // len(self.scales)}

    def rows(self) -> NDArray[np.float32]:
        """The weight [N, K] that these numbers stand for."""
        scales = np.atleast_2d(self.scales.astype(np.float32))
        scales = np.repeat(scales, len(self.numbers) // len(scales), axis=0)
        rows: NDArray[np.float32] = (self.numbers.astype(np.float32) * scales).T
        return rows


def block_of(inputs: int) -> int:
    """Number of weights that share a scale in a layer of that many inputs. Raises GarError BAD_MODEL."""
    for block in BLOCKS:
        if inputs % block == 0:
            return block
    raise GarError(
        ErrorCode.BAD_MODEL,
        f"expected layers of a multiple of {BLOCKS[-1]} inputs for int4 weights on a GPU, got {inputs}: "
        "export with --precision fp16",
    )


def quantise_symmetric(rows: NDArray[np.float32], bits: int, dtype: DTypeLike) -> SymmetricWeight:
    """Rounds a weight [N, K] to numbers of 4 or 8 bits, with scales of `dtype`; of 4 bits those that lose least."""
    quantise = _quantise_blocks if bits == 4 else _quantise_outputs
    parts = [quantise(rows[start : start + _PIECE], dtype) for start in range(0, len(rows), _PIECE)]
    numbers, scales = (np.concatenate([part[index] for part in parts]) for index in (0, 1))
    return SymmetricWeight(np.ascontiguousarray(numbers.T), np.ascontiguousarray(scales.T), bits)


def dequantised(graph: GraphBuilder, name: str, rows: NDArray[np.float32], bits: int, dtype: DTypeLike) -> str:
    """A value of the graph: the weight [N, K], rounded to 4 or 8 bits, as MatMul takes it: [K, N] of `dtype`."""
    graph.require_opset(BLOCKS_OPSET)
    stored = quantise_symmetric(rows, bits, dtype)
    store = graph.int4_weight if bits == 4 else graph.weight
    numbers, scales = store(f"{name}.int{bits}", stored.numbers), graph.weight(f"{name}.scales", stored.scales)
    return graph.op("DequantizeLinear", numbers, scales, **stored.attributes)


def _quantise_blocks(rows: NDArray[np.float32], dtype: DTypeLike) -> tuple[NDArray[np.int8], NDArray[np.floating]]:
    """Numbers -8 to 7 [N, K] and scales [N, K / block]."""
    blocks = rows.reshape(len(rows), -1, block_of(rows.shape[1]))
    smallest, largest = blocks.min(-1, keepdims=True), blocks.max(-1, keepdims=True)
    ends = np.maximum(smallest / np.float32(-8), largest / np.float32(7)).clip(0)
    scales = fitted_scales(blocks, ends, 4, dtype)
    return rounded(blocks, scales, 8).astype(np.int8).reshape(rows.shape), scales[..., 0].astype(dtype)


def _quantise_outputs(rows: NDArray[np.float32], dtype: DTypeLike) -> tuple[NDArray[np.int8], NDArray[np.floating]]:
    """Numbers -127 to 127 [N, K] and scales [N]."""
    scales = (np.abs(rows).max(-1, keepdims=True) / np.float32(_LARGEST_INT8)).astype(dtype).astype(np.float32)
    numbers = rounded(rows, scales, _LARGEST_INT8 + 1).clip(-_LARGEST_INT8)
    return numbers.astype(np.int8), scales[..., 0].astype(dtype)
