# SPDX-License-Identifier: Apache-2.0
"""What a decoder graph for GPUs tells of the logits, which stay on the device: a few numbers instead of half a MB."""

from __future__ import annotations

import numpy as np

from gar_export.graph import GraphBuilder, element_type


def write_tail(graph: GraphBuilder, logits: str, vocab: int) -> str:
    """The value `next_ids` of the graph. logits: float32 [B, n, V] of the n kept rows.

    Input `scored_ids` int64 [m], one or more tokens -> outputs `next_ids` int64 [B, n], the likeliest token, of several
    the one with the lowest id; `next_log_p` [B, n], its log probability; `log_sums` [B, n], the logarithm of the sum of
    the exponentials of all logits; `scored_logits` [B, n, m] of these tokens. All but the ids are float32.

    ArgMax would leave it to the runtime which of several equal logits counts, and float16 ones are often equal. As
    minimum of the ids with the largest logit it is a reduction like the others, which TensorRT reads the logits for.
    """
    last_axis = graph.const([-1])
    scored = graph.input("scored_ids", np.int64, ["scored"])
    largest = graph.op("ReduceMax", logits, last_axis, keepdims=1)  # [B, n, 1]
    exponentials = graph.op("Exp", graph.op("Sub", logits, largest))
    log_total = graph.op("Log", graph.op("ReduceSum", exponentials, last_axis, keepdims=0))
    graph.op("Neg", log_total, out="next_log_p")
    graph.op("Add", graph.op("Squeeze", largest, last_axis), log_total, out="log_sums")
    ids = graph.op("Range", graph.const(0), graph.const(vocab), graph.const(1))
    # The last id where none is the largest, as among NaN: the lookup stays within the table.
    none = graph.const(vocab - 1, np.int32)
    is_largest = graph.op("GreaterOrEqual", logits, largest)
    ids = graph.op("Where", is_largest, graph.op("Cast", ids, to=element_type(np.int32)), none)
    lowest = graph.op("ReduceMin", ids, last_axis, keepdims=0)
    next_ids = graph.op("Cast", lowest, to=element_type(np.int64), out="next_ids")
    graph.op("Gather", logits, scored, axis=2, out="scored_logits")
    graph.output("next_ids", np.int64, ["batch", "kept"])
    for name in ("next_log_p", "log_sums"):
        graph.output(name, np.float32, ["batch", "kept"])
    graph.output("scored_logits", np.float32, ["batch", "kept", "scored"])
    return next_ids
