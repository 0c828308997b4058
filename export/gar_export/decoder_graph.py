# SPDX-License-Identifier: Apache-2.0
"""decoder.onnx: the Llama decoder with a functional KV cache, written directly from the checkpoint's weights.

One graph prefills and decodes. In float32 and float16 it uses plain operators only, so ONNX Runtime's CPU and CUDA
providers and TensorRT take it alike. Weights of few bits in a float32 graph need ONNX Runtime's MatMulNBits, and are
exported with the KV cache of split_decoder_graph.py; in a float16 graph they are as gpu_weights.py says. In bfloat16
are the products of linear layers alone, which is all that counts for memory and time: what is between them is float32,
attention with its KV cache float16, whose three more bits it can use and whose range it does not leave, and so is the
head. Grouped-query attention does not repeat keys and values: the G query heads that share a key head are stacked as
rows of one product.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from gar_export.checkpoint import EMBEDDING, HEAD, Weights
from gar_export.config import GarConfig
from gar_export.decoder_tail import write_tail
from gar_export.gpu_weights import dequantised
from gar_export.graph import BFLOAT16, EXTERNAL_DATA_BYTES, MICROSOFT, OPSET, GraphBuilder, element_type
from gar_export.quantise import quantise
from gar_export.table import StoredTable
from gar_ros.engine.model_dir.manifest import Tail

_PREFIX = "mllm.model.language_model."

HEAD_BITS = 8
"""Of the output head in a graph of 8 or 4 bits: it decides between tokens, and is read once a token."""


def write_decoder(
    path: Path,
    config: GarConfig,
    weights: Weights,
    inv_freq: NDArray[np.float32],
    dtype: DTypeLike = np.float32,
    bits: int | None = None,
    table: StoredTable | None = None,
    writer: type[DecoderWriter] | None = None,
    tail: Tail = "logits",
) -> None:
    """Writes the graph; `dtype` is that of weights, embeddings and cache, logits are always float32.

    BFLOAT16: embeddings are float32 and the cache is float16. bits: of the weight matrices, 8 or 4 in a float32 graph,
    4 in a float16 one. table: the embedding table where it is stored already, in the graph's folder; a large graph
    refers to it, which saves its size a second time. writer: of another form of the KV cache, which says what its
    inputs and outputs are. tail: "tokens" for graphs without float32 weights only.

    `inputs_embeds` [B, S, H], `position_ids` int64 [B, S] (a row sees keys up to its position), `logits_idx` int64 [n]
    (rows of S that get logits), `past_key_values.{i}.key/value` [B, KH, P, D] -> `logits` [B, n, V],
    `present.{i}.key/value` [B, KH, P+S, D]. inv_freq: float32 [D/2], the scaled RoPE frequencies.
    With the tail "tokens" there are other inputs and outputs instead of `logits`: those that `write_tail` names, and
    `next_embeds` [B, n, H], the embeddings of `next_ids` in the type of `inputs_embeds`.
    """
    (writer or DecoderWriter)(path, config, weights, np.dtype(dtype), bits, table, tail).write(inv_freq)


class DecoderWriter:
    """The pieces of one decoder graph. Comments give shapes; G = heads / kv_heads, T = P + S keys."""

    opset = OPSET

    def __init__(
        self,
        path: Path,
        config: GarConfig,
        weights: Weights,
        dtype: np.dtype,
        bits: int | None,
        table: StoredTable | None,
        tail: Tail = "logits",
    ) -> None:
        self.tail = tail
        self.sizes = config.decoder
        self.weights = weights
        bfloat16 = dtype == BFLOAT16
        self.dtype = np.dtype(np.float16) if bfloat16 else dtype  # of attention, the KV cache and the head
        self.stream = np.dtype(np.float32) if bfloat16 else dtype  # between the products
        self.products = dtype  # of linear layers
        self.bits = bits
        names = [name for name in weights.names() if name.startswith(_PREFIX)]
        size = sum(int(np.prod(weights.shape(name))) for name in names) * (bits or 8 * dtype.itemsize) // 8
        external = size > EXTERNAL_DATA_BYTES
        self.graph = GraphBuilder("gar_decoder", path, external, self.opset)
        self.table = table if external and table and table.dtype == self.dtype else None
        self.groups = self.sizes.heads // self.sizes.kv_heads

    def write(self, inv_freq: NDArray[np.float32]) -> None:
        graph, sizes = self.graph, self.sizes
        hidden = graph.input("inputs_embeds", self.stream, ["batch", "sequence", sizes.hidden])
        positions = graph.input("position_ids", np.int64, ["batch", "sequence"])
        kept_rows = graph.input("logits_idx", np.int64, ["kept"])
        self.prepare(positions, inv_freq)
        for layer in range(sizes.layers):
            name = f"layers.{layer}."
            normed = self.rms_norm(hidden, name + "input_layernorm.weight")
            hidden = graph.op("Add", hidden, self.attention(normed, layer))
            normed = self.rms_norm(hidden, name + "post_attention_layernorm.weight")
            hidden = graph.op("Add", hidden, self.mlp(normed, name + "mlp."))
        self.head(graph.op("Gather", hidden, kept_rows, axis=1))
        for layer in range(sizes.layers):
            for kind in ("key", "value"):
                self.cache_output(layer, kind)
        graph.save()

    def prepare(self, positions: str, inv_freq: NDArray[np.float32]) -> None:
        """Declares the inputs of the KV cache, and computes what all layers share."""
        kinds = ("key", "value")
        self.past = [[self.cache_input(layer, kind) for kind in kinds] for layer in range(self.sizes.layers)]
        self.cos, self.sin = self.rope_tables(positions, inv_freq)
        self.mask = self.causal_mask(positions, self.past[0][0])

    def cache_input(self, layer: int, kind: str) -> str:
        shape: list[int | str] = ["batch", self.sizes.kv_heads, "past", self.sizes.head_dim]
        return self.graph.input(f"past_key_values.{layer}.{kind}", self.dtype, shape)

    def cache_output(self, layer: int, kind: str) -> None:
        shape: list[int | str] = ["batch", self.sizes.kv_heads, "total", self.sizes.head_dim]
        self.graph.output(f"present.{layer}.{kind}", self.dtype, shape)

    def rope_tables(self, positions: str, inv_freq: NDArray[np.float32]) -> tuple[str, str]:
        """Cosines and sines [B, S, 1, D/2] of this call's positions, computed in float32."""
        graph = self.graph
        places = graph.op("Cast", graph.op("Unsqueeze", positions, graph.const([2, 3])), to=element_type(np.float32))
        angles = graph.op("Mul", places, graph.weight("rope.inv_freq", inv_freq))
        cos, sin = graph.op("Cos", angles), graph.op("Sin", angles)
        return self.cast(cos, np.float32, self.stream), self.cast(sin, np.float32, self.stream)

    def causal_mask(self, positions: str, past_key: str) -> str:
        """Additive mask [B, 1, G*S, T], float32: 0 where a row may look, else a number that softmax turns into 0."""
        graph = self.graph
        past_length = graph.op("Shape", past_key, start=2, end=3)
        new_length = graph.op("Shape", positions, start=1, end=2)
        total = graph.op("Squeeze", graph.op("Add", past_length, new_length), graph.const([0]))
        keys = graph.op("Range", graph.const(0), total, graph.const(1))  # [T]
        rows = graph.op("Tile", positions, graph.const([1, self.groups]))  # [B, G*S]
        visible = graph.op("LessOrEqual", keys, graph.op("Unsqueeze", rows, graph.const([1, 3])))
        return graph.op("Where", visible, graph.const(0, np.float32), graph.const(-1e9, np.float32))

    def attention(self, x: str, layer: int) -> str:
        graph, sizes, name = self.graph, self.sizes, f"layers.{layer}.self_attn."
        heads, kv_heads, width = sizes.heads, sizes.kv_heads, sizes.head_dim
        past_key, past_value = self.past[layer]
        query, key, value = self.query_key_value(x, name)
        query = graph.op("Mul", query, graph.const(width**-0.5, self.dtype))
        query = graph.op("Reshape", query, graph.const([0, 0, kv_heads, self.groups, width]))
        query = graph.op("Transpose", query, perm=[0, 2, 3, 1, 4])  # [B, KH, G, S, D]
        query = graph.op("Reshape", query, graph.const([0, kv_heads, -1, width]))  # [B, KH, G*S, D]
        new_key = graph.op("Transpose", key, perm=[0, 2, 1, 3])  # [B, KH, S, D]
        new_value = graph.op("Transpose", value, perm=[0, 2, 1, 3])
        keys = graph.op("Concat", past_key, new_key, axis=2, out=f"present.{layer}.key")
        values = graph.op("Concat", past_value, new_value, axis=2, out=f"present.{layer}.value")

        scores = graph.op("MatMul", query, graph.op("Transpose", keys, perm=[0, 1, 3, 2]))  # [B, KH, G*S, T]
        scores = self.cast(scores, self.dtype, np.float32)
        probabilities = graph.op("Softmax", graph.op("Add", scores, self.mask), axis=-1)
        probabilities = self.cast(probabilities, np.float32, self.dtype)
        mixed = graph.op("MatMul", probabilities, values)  # [B, KH, G*S, D]
        mixed = graph.op("Reshape", mixed, graph.const([0, kv_heads, self.groups, -1, width]))
        mixed = graph.op("Transpose", mixed, perm=[0, 3, 1, 2, 4])  # [B, S, KH, G, D]
        mixed = graph.op("Reshape", mixed, graph.const([0, 0, heads * width]))
        return self.linear(mixed, name + "o_proj.weight")

    def query_key_value(self, x: str, name: str) -> tuple[str, str, str]:
        """Queries [B, S, heads, D], keys and values [B, S, KH, D] of an input [B, S, H]; RoPE is in them."""
        graph, heads, kv_heads = self.graph, self.sizes.heads, self.sizes.kv_heads
        joined = self.linear(x, name + "qkv_proj.weight", *(f"{name}{kind}_proj.weight" for kind in "qkv"))
        joined = graph.op("Reshape", joined, graph.const([0, 0, heads + 2 * kv_heads, self.sizes.head_dim]))
        queries_keys, value = self.split(joined, [heads + kv_heads, kv_heads], axis=2, name=name + "v")
        queries_keys = self.cast(self.rotate(queries_keys, name), self.stream, self.dtype)
        query, key = self.split(queries_keys, [heads, kv_heads], axis=2, name=name + "q")
        return query, key, self.cast(value, self.stream, self.dtype)

    def rotate(self, x: str, name: str) -> str:
        """RoPE on [B, S, heads, D], half-split: element i is paired with element i + D/2."""
        graph, half = self.graph, self.sizes.head_dim // 2
        first, second = self.split(x, [half, half], axis=3, name=name + "rope")
        left = graph.op("Sub", graph.op("Mul", first, self.cos), graph.op("Mul", second, self.sin))
        right = graph.op("Add", graph.op("Mul", second, self.cos), graph.op("Mul", first, self.sin))
        return graph.op("Concat", left, right, axis=-1)

    def mlp(self, x: str, name: str) -> str:
        """SwiGLU."""
        graph = self.graph
        gate, up = self.linear(x, name + "gate_proj.weight"), self.linear(x, name + "up_proj.weight")
        silu = graph.op("Mul", gate, graph.op("Sigmoid", gate))
        return self.linear(graph.op("Mul", silu, up), name + "down_proj.weight", wide_sums=True)

    def rms_norm(self, x: str, name: str) -> str:
        """RMSNorm over the last axis, in float32 whatever the graph's type."""
        graph = self.graph
        x = self.cast(x, self.stream, np.float32)
        mean_square = graph.op("ReduceMean", graph.op("Mul", x, x), graph.const([-1]), keepdims=1)
        root = graph.op("Sqrt", graph.op("Add", mean_square, graph.const(self.sizes.rms_eps, np.float32)))
        normed = self.cast(graph.op("Div", x, root), np.float32, self.stream)
        return graph.op("Mul", normed, graph.weight(name, self.read(_PREFIX + name, self.stream)))

    def head(self, x: str) -> None:
        """What is told of the logits [B, n, V] of the kept rows.

        The matrix stays [V, H] as in the checkpoint (no transposed copy of the largest one), hence Gemm, which knows
        two dimensions only.
        """
        graph, hidden, vocab = self.graph, self.sizes.hidden, self.sizes.vocab
        x = self.cast(self.rms_norm(x, "norm.weight"), self.stream, self.dtype)
        source, matrix = EMBEDDING if self.sizes.tied_head else HEAD, ""
        if self.bits and self.dtype == np.float32:
            logits = self.quantised(x, "lm_head.weight", self.weights.read(source).numpy(), HEAD_BITS)
        elif self.bits:
            matrix = self.few_bits("lm_head.weight", source)
            logits = self.product(x, matrix)
        else:
            matrix = self.matrix_of("lm_head.weight", source)
            rows = graph.op("Gemm", graph.op("Reshape", x, graph.const([-1, hidden])), matrix, transB=1)
            shape = graph.op("Concat", graph.const([-1]), graph.op("Shape", "logits_idx"), graph.const([vocab]), axis=0)
            logits = graph.op("Reshape", rows, shape)
        whole = "logits" if self.tail == "logits" else None
        logits = graph.op("Cast", logits, to=element_type(np.float32), out=whole)
        if whole:
            graph.output("logits", np.float32, ["batch", "kept", vocab])
        else:
            self.look_up(write_tail(graph, logits, vocab), matrix)

    def look_up(self, ids: str, table: str) -> None:
        """`next_embeds` of these tokens [B, n]. table: the head's matrix, which is the embedding table if it is tied.

        Beside a head of few bits the table has as many, which loses far less than the layers do.
        """
        graph = self.graph
        if not table:
            raise ValueError("expected a graph for a GPU, whose tail can look up tokens; got weights for the CPU alone")
        if not self.sizes.tied_head:
            table = (self.few_bits if self.bits else self.matrix_of)("embed_tokens.weight", EMBEDDING)
        rows = graph.op("Gather", table, ids, axis=1 if self.bits else 0)
        rows = graph.op("Transpose", rows, perm=[1, 2, 0]) if self.bits else rows
        graph.op("Cast", rows, to=element_type(self.stream), out="next_embeds")
        graph.output("next_embeds", self.stream, ["batch", "kept", self.sizes.hidden])

    def matrix_of(self, name: str, source: str) -> str:
        """A matrix [V, H] of the checkpoint; the embedding table where it is stored already."""
        if self.table and source == EMBEDDING:
            shape = self.weights.shape(source)
            return self.graph.weight_in(name, self.table.file, self.table.offset, self.dtype, shape)
        return self.graph.weight(name, self.read(source, self.dtype))

    def few_bits(self, name: str, source: str) -> str:
        """A matrix [V, H] of the checkpoint, rounded, as MatMul takes it: [H, V]."""
        return dequantised(self.graph, name, self.weights.read(source).numpy(), HEAD_BITS, self.dtype)

    def linear(self, x: str, name: str, *sources: str, wide_sums: bool = False) -> str:
        """x times a linear layer's matrix, or those of several layers side by side: of type `stream`.

        wide_sums: of float16 numbers are kept in float32.
        """
        dtype = np.dtype(np.float32) if self.bits else self.products
        rows = [self.read(_PREFIX + source, dtype) for source in sources or [name]]
        matrix = rows[0] if len(rows) == 1 else np.concatenate(rows)  # [out, in]
        if self.bits:
            return self.quantised(x, name, matrix, self.bits, wide_sums)
        return self.product(x, self.graph.weight(name, matrix.T), wide_sums)

    def product(self, x: str, matrix: str, wide_sums: bool = False) -> str:
        """x times the matrix [in, out] of the graph, of type `products`: of type `stream`.

        A float16 product between casts to float32 and back is one kernel of TensorRT, as it is without the casts, but
        may not sum in float16, which loses digits of long sums. With bfloat16 no GPU sums in anything but float32.
        """
        graph = self.graph
        wide = np.dtype(np.float32) if wide_sums and self.products == np.float16 else self.products
        x = self.cast(self.cast(x, self.stream, self.products), self.products, wide)
        found = graph.op("MatMul", x, self.cast(matrix, self.products, wide))
        return self.cast(self.cast(found, wide, self.products), self.products, self.stream)

    def quantised(self, x: str, name: str, rows: NDArray[np.float32], bits: int, wide_sums: bool = False) -> str:
        """x times the matrix [out, in], quantised."""
        if self.dtype != np.float32:
            return self.product(x, dequantised(self.graph, name, rows, bits, self.dtype), wide_sums)
        graph, stored = self.graph, quantise(rows, bits)
        packed, scales = graph.weight(f"{name}.int{bits}", stored.packed), graph.weight(f"{name}.scales", stored.scales)
        return graph.op("MatMulNBits", x, packed, scales, domain=MICROSOFT, **stored.attributes)

    def read(self, name: str, dtype: np.dtype) -> NDArray:
        """A tensor of the checkpoint, converted."""
        tensor = self.weights.read(name, getattr(torch, dtype.name))
        return tensor.view(torch.int16).numpy().view(dtype) if dtype == BFLOAT16 else tensor.numpy()

    def split(self, x: str, parts: list[int], axis: int, name: str) -> list[str]:
        outputs = [f"{name}.part{number}" for number in range(len(parts))]
        return self.graph.split_op("Split", x, self.graph.const(parts), outputs=outputs, axis=axis)

    def cast(self, x: str, source: DTypeLike, target: DTypeLike) -> str:
        if np.dtype(source) == np.dtype(target):
            return x
        return self.graph.op("Cast", x, to=element_type(target))
