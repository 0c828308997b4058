# SPDX-License-Identifier: Apache-2.0
"""The attention of a decoder whose KV cache has two parts, for OpenVINO, which reads prompts.

For a single token, the exported graph keeps the parts of the cache apart and joins the scores, because a cache is
large and a token's scores are small (`gar_export.split_decoder_graph`). For a thousand tokens it is the other way
round: their scores take 200 MB a layer. Here the parts of the cache are joined, and OpenVINO's own operator attends,
which never has all scores at once. A prompt of GAR-1B is read a tenth faster so.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np


def fuse_attention(openvino: ModuleType, model: Any) -> int:
    """Replaces what computes attention in an openvino.Model; returns the number of layers.

    Graphs that don't have it in this form stay as they are.
    """
    found = [layer for node in model.get_ordered_ops() if (layer := _SplitAttention.around(node))]
    if not found:
        return 0
    build = _Builder(openvino.opset13)
    mask = build.mask_of_all(found[0])
    for layer in found:
        layer.output.replace(build.attention(layer, mask).output(0))
    model.validate_nodes_and_infer_types()
    return len(found)


class _SplitAttention:
    """One layer's attention in the exported form; the names are of openvino.Output values, comments give their shapes.

    P settled positions, T recent ones with the new tokens, S new tokens, G query heads for each of KH heads.
    """

    def __init__(self, softmax: Any) -> None:
        """Raises ValueError where a node isn't of the kind that the exported form has there."""
        joined = _made_by("Concat", softmax.input_value(0))
        settled = _made_by("MatMul", joined.input_value(0))
        masked = _made_by("Add", joined.input_value(1))
        recent = _made_by("MatMul", masked.input_value(0))
        self.query = settled.input_value(0)  # [B, KH, G, S, D], scaled
        self.mask = masked.input_value(1)  # [B, 1, 1, S, T]
        self.past_keys = _made_by("Transpose", settled.input_value(1)).input_value(0)  # [1, KH, 1, P, D]
        self.keys = _made_by("Transpose", recent.input_value(1)).input_value(0)  # [B, KH, 1, T, D]
        parts = _used_by("VariadicSplit", softmax.output(0))
        products = [_used_by("MatMul", parts.output(part)) for part in range(2)]
        self.past_values, self.values = (product.input_value(1) for product in products)
        self.output = _used_by("Add", products[0].output(0)).output(0)  # [B, KH, G, S, D]

    @classmethod
    def around(cls, node: Any) -> _SplitAttention | None:
        """That of a softmax; None where the node is another one, or what is around it."""
        if node.get_type_name() != "Softmax":
            return None
        try:
            return cls(node)
        except ValueError:
            return None


def _made_by(kind: str, value: Any) -> Any:
    node = value.get_node()
    if node.get_type_name() != kind:
        raise ValueError(kind)
    return node


def _used_by(kind: str, value: Any) -> Any:
    users = [target.get_node() for target in value.get_target_inputs()]
    if [user.get_type_name() for user in users] != [kind]:
        raise ValueError(kind)
    return users[0]


class _Builder:
    """Makes nodes by an opset of OpenVINO."""

    def __init__(self, opset: Any) -> None:
        self._opset = opset

    def numbers(self, *values: int) -> Any:
        return self._opset.constant(np.array(values, np.int64))

    def sizes(self, value: Any, *axes: int) -> Any:
        return self._opset.gather(self._opset.shape_of(value), self.numbers(*axes), self.numbers(0))

    def mask_of_all(self, layer: _SplitAttention) -> Any:
        """Mask [B, 1, G * S, P + T] of all positions, equal in all layers: each token sees all that has settled."""
        opset = self._opset
        settled = opset.concat([self.numbers(0, 0, 0, 0), self.sizes(layer.past_keys, 3)], 0)
        zero = opset.constant(np.float32(0))
        mask = opset.pad(layer.mask, settled, self.numbers(0, 0, 0, 0, 0), "constant", zero)
        groups = layer.query.get_partial_shape()[2].get_length()
        return opset.tile(opset.squeeze(mask, self.numbers(2)), self.numbers(1, 1, groups, 1))

    def attention(self, layer: _SplitAttention, mask: Any) -> Any:
        """The layer's output, from the whole cache. The query heads that share a head of keys are rows of it."""
        opset, shape = self._opset, layer.query.get_partial_shape()
        flat = self.numbers(0, shape[1].get_length(), -1, shape[4].get_length())
        # Rows of a batch have the settled part in common.
        batch = opset.concat([self.sizes(layer.query, 0), self.numbers(1, 1, 1, 1)], 0)

        def whole(past: Any, recent: Any) -> Any:  # [B, KH, P + T, D]
            settled = opset.broadcast(past, batch, broadcast_spec="BIDIRECTIONAL")
            return opset.reshape(opset.concat([settled, recent], 3), flat, special_zero=True)

        keys, values = whole(layer.past_keys, layer.keys), whole(layer.past_values, layer.values)
        query = opset.reshape(layer.query, flat, special_zero=True)
        one = opset.constant(np.float32(1))
        mixed = opset.scaled_dot_product_attention(query, keys, values, mask, one, causal=False)
        return opset.reshape(mixed, opset.shape_of(layer.query), special_zero=False)
