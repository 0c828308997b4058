# SPDX-License-Identifier: Apache-2.0
"""decoder.onnx for a GPU: a KV cache for the whole context, into which a run writes its tokens' keys and values.

A runtime that binds past and present to one address moves nothing but those. Operators of opset 24, which TensorRT
parses from 10.15 on and ONNX Runtime's CPU provider runs, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gar_export.decoder_graph import DecoderWriter

STATIC_OPSET = 24
"""The first with TensorScatter and with an Attention that takes what it gives."""


class StaticDecoderWriter(DecoderWriter):
    """Writes a graph with another KV cache than `write_decoder` says.

    That is `past_key_values.{i}.key/value` [B, KH, C, D] -> `present.{i}.key/value` [B, KH, C, D], C the model's whole
    context, in which the new tokens stand at their positions, which must follow each other in each row.
    `key_positions` int64 [T], 0 to T - 1, tells how many positions are read: at least all up to the last new one. What
    lies after a row's position has no weight, but must be finite.

    Comments give shapes; C positions of the cache, of which T are read. C must be a number, and not computed from
    an input, for TensorRT to take the graph.
    """

    opset = STATIC_OPSET

    def prepare(self, positions: str, inv_freq: NDArray[np.float32]) -> None:
        graph, kinds = self.graph, ("key", "value")
        self.past = [[self.cache_input(layer, kind) for kind in kinds] for layer in range(self.sizes.layers)]
        self.cos, self.sin = self.rope_tables(positions, inv_freq)
        self.first = graph.op("Gather", positions, graph.const(0), axis=1)  # [B]
        keys = graph.input("key_positions", np.int64, ["keys"])
        self.read_end = graph.op("Shape", keys)  # [1]
        rows = graph.op("Unsqueeze", positions, graph.const([1, 3]))
        self.mask = graph.op("LessOrEqual", keys, rows)  # bool [B, 1, S, T]

    def cache_input(self, layer: int, kind: str) -> str:
        return self.graph.input(f"past_key_values.{layer}.{kind}", self.dtype, self.cache_shape())

    def cache_output(self, layer: int, kind: str) -> None:
        self.graph.output(f"present.{layer}.{kind}", self.dtype, self.cache_shape())

    def cache_shape(self) -> list[int | str]:
        return ["batch", self.sizes.kv_heads, self.sizes.max_positions, self.sizes.head_dim]

    def attention(self, x: str, layer: int) -> str:
        graph, sizes, name = self.graph, self.sizes, f"layers.{layer}.self_attn."
        # Each [B, heads, S, D].
        query, key, value = (graph.op("Transpose", part, perm=[0, 2, 1, 3]) for part in self.query_key_value(x, name))
        keys, values = (
            graph.op("TensorScatter", past, new, self.first, axis=2, out=f"present.{layer}.{kind}")
            for past, new, kind in zip(self.past[layer], (key, value), ("key", "value"), strict=True)
        )
        keys, values = (
            graph.op("Slice", part, graph.const([0]), self.read_end, graph.const([2])) for part in (keys, values)
        )  # [B, KH, T, D]
        mixed = graph.op("Attention", query, keys, values, self.mask)  # [B, heads, S, D]
        mixed = graph.op("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = graph.op("Reshape", mixed, graph.const([0, 0, sizes.heads * sizes.head_dim]))
        return self.linear(mixed, name + "o_proj.weight")
