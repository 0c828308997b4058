# SPDX-License-Identifier: Apache-2.0
"""decoder.onnx for ONNX Runtime's CPU: the KV cache in two parts, of which only the short one is copied for a token.

The settled part, such as that of an image, is read where it lies; the recent part grows by the new tokens. All rows see
all settled keys, so only the recent scores need a mask. Query heads keep an axis of their own, so that the products of
a single token are of a vector and a matrix, which ONNX Runtime computes without packing the matrix first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gar_export.decoder_graph import DecoderWriter


class SplitDecoderWriter(DecoderWriter):
    """Writes a graph with another KV cache than `write_decoder` says.

    That is `past_key_values.{i}.key/value` [1, KH, 1, P, D], the settled part, and `recent.{i}.key/value`
    [B, KH, 1, R, D] -> `present.{i}.key/value` [B, KH, 1, R+S, D], the recent part with the new tokens. The rows of a
    batch have the settled part in common.

    Comments give shapes; P settled keys, R recent ones, T = R + S keys of the recent part with the new tokens.
    """

    def prepare(self, positions: str, inv_freq: NDArray[np.float32]) -> None:
        graph, kinds = self.graph, ("key", "value")
        layers = range(self.sizes.layers)
        self.past = [[self.cache_input(layer, kind) for kind in kinds] for layer in layers]
        self.recent = [[self.recent_input(layer, kind) for kind in kinds] for layer in layers]
        self.scaled_rope_tables(positions, inv_freq)
        settled = graph.op("Shape", self.past[0][0], start=3, end=4)
        new = graph.op("Shape", positions, start=1, end=2)
        recent = graph.op("Add", graph.op("Shape", self.recent[0][0], start=3, end=4), new)
        self.parts = graph.op("Concat", settled, recent, axis=0)
        first = graph.op("Squeeze", settled, graph.const([0]))
        end = graph.op("Add", first, graph.op("Squeeze", recent, graph.const([0])))
        keys = graph.op("Range", first, end, graph.const(1))  # positions of the recent part [T]
        visible = graph.op("LessOrEqual", keys, graph.op("Unsqueeze", positions, graph.const([1, 2, 4])))
        hidden = graph.op("Where", visible, graph.const(0, np.float32), graph.const(-1e9, np.float32))
        self.mask = hidden  # [B, 1, 1, S, T]

    def cache_input(self, layer: int, kind: str) -> str:
        shape: list[int | str] = [1, self.sizes.kv_heads, 1, "settled", self.sizes.head_dim]
        return self.graph.input(f"past_key_values.{layer}.{kind}", self.dtype, shape)

    def recent_input(self, layer: int, kind: str) -> str:
        shape: list[int | str] = ["batch", self.sizes.kv_heads, 1, "recent", self.sizes.head_dim]
        return self.graph.input(f"recent.{layer}.{kind}", self.dtype, shape)

    def cache_output(self, layer: int, kind: str) -> None:
        shape: list[int | str] = ["batch", self.sizes.kv_heads, 1, "total", self.sizes.head_dim]
        self.graph.output(f"present.{layer}.{kind}", self.dtype, shape)

    def scaled_rope_tables(self, positions: str, inv_freq: NDArray[np.float32]) -> None:
        """Cosines and signed sines [B, S, heads + KH, D]; those of the queries hold the scale of the scores, too."""
        graph, sizes = self.graph, self.sizes
        cos, sin = self.rope_tables(positions, inv_freq)
        scales = np.ones((sizes.heads + sizes.kv_heads, 1), self.dtype)
        scales[: sizes.heads] = sizes.head_dim**-0.5
        scale = graph.weight("rope.scales", scales)
        self.cos = graph.op("Mul", graph.op("Concat", cos, cos, axis=-1), scale)
        self.sin = graph.op("Mul", graph.op("Concat", graph.op("Neg", sin), sin, axis=-1), scale)

    def rotate(self, x: str, name: str) -> str:
        graph, half = self.graph, self.sizes.head_dim // 2
        first, second = self.split(x, [half, half], axis=3, name=name + "rope")
        swapped = graph.op("Concat", second, first, axis=-1)
        return graph.op("Add", graph.op("Mul", x, self.cos), graph.op("Mul", swapped, self.sin))

    def attention(self, x: str, layer: int) -> str:
        graph, sizes, name = self.graph, self.sizes, f"layers.{layer}.self_attn."
        heads, kv_heads, width = sizes.heads, sizes.kv_heads, sizes.head_dim
        query, key, value = self.query_key_value(x, name)
        query = graph.op("Reshape", query, graph.const([0, 0, kv_heads, self.groups, width]))
        query = graph.op("Transpose", query, perm=[0, 2, 3, 1, 4])  # [B, KH, G, S, D]
        keys, values = (self.extended(layer, kind, new) for kind, new in (("key", key), ("value", value)))
        past_key, past_value = self.past[layer]

        settled = self.product_with_keys(query, past_key)  # [B, KH, G, S, P]
        recent = graph.op("Add", self.product_with_keys(query, keys), self.mask)  # [B, KH, G, S, T]
        probabilities = graph.op("Softmax", graph.op("Concat", settled, recent, axis=-1), axis=-1)
        outputs = [f"{name}settled", f"{name}recent"]
        settled, recent = graph.split_op("Split", probabilities, self.parts, outputs=outputs, axis=-1)
        mixed = graph.op("Add", graph.op("MatMul", settled, past_value), graph.op("MatMul", recent, values))
        mixed = graph.op("Transpose", mixed, perm=[0, 3, 1, 2, 4])  # [B, S, KH, G, D]
        return self.linear(graph.op("Reshape", mixed, graph.const([0, 0, heads * width])), name + "o_proj.weight")

    def extended(self, layer: int, kind: str, new: str) -> str:
        """The recent part [B, KH, 1, T, D] with the keys or values of the new tokens [B, S, KH, D]."""
        graph, number = self.graph, ("key", "value").index(kind)
        new = graph.op("Unsqueeze", graph.op("Transpose", new, perm=[0, 2, 1, 3]), graph.const([2]))
        return graph.op("Concat", self.recent[layer][number], new, axis=3, out=f"present.{layer}.{kind}")

    def product_with_keys(self, query: str, keys: str) -> str:
        return self.graph.op("MatMul", query, self.graph.op("Transpose", keys, perm=[0, 1, 2, 4, 3]))
