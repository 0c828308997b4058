# SPDX-License-Identifier: Apache-2.0
"""What `gar export --precision` means for each graph and for the embedding table. One folder has one precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from gar_export.graph import BFLOAT16
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, REPLAY, VISION, KvForm, NumberType, Tail


@dataclass(frozen=True)
class Precision:
    """Types of an exported model. Logits are float32 whatever the precision."""

    graphs: np.dtype  # of vision and replay, and of the decoder's activations and KV cache; BFLOAT16: of products alone
    table: np.dtype  # of the embedding table
    bits: int | None = None  # of the decoder's weight matrices, None where they are as the graphs
    vision_bits: int | None = None  # of the vision graph's

    @property
    def kv_cache(self) -> KvForm:
        """Split where only ONNX Runtime can run the decoder; TensorRT is slower with a split cache."""
        return "split" if self.bits and self.around_products == np.float32 else "joined"

    def tail(self, kv_cache: KvForm) -> Tail:
        """The graph of a decoder for GPUs ends with the likeliest tokens. On the CPU logits cost nothing to pass on."""
        return "logits" if self.graphs == np.float32 or kv_cache == "split" else "tokens"

    @property
    def around_products(self) -> np.dtype:
        """Of inputs and outputs, and of all that is not in bfloat16."""
        return np.dtype(np.float32) if self.graphs == BFLOAT16 else self.graphs

    def dtypes(self) -> dict[str, NumberType]:
        """The manifest's types: those of the weights where they differ from the activations'."""
        vision = f"int{self.vision_bits}" if self.vision_bits else self.graphs.name
        decoder = f"int{self.bits}" if self.bits else self.graphs.name
        if self.bits and self.around_products != np.float32:
            decoder += f"-{self.graphs.name}"
        names = {VISION: vision, REPLAY: self.around_products.name, DECODER: decoder, EMBEDDINGS: self.table.name}
        return cast(dict[str, NumberType], names)


_FLOAT, _HALF = np.dtype(np.float32), np.dtype(np.float16)

PRECISIONS = {
    "fp32": Precision(_FLOAT, _FLOAT),
    "fp16": Precision(_HALF, _HALF),  # for GPUs; the CPU can run it too, slowly
    "bf16": Precision(BFLOAT16, _HALF),  # for GPUs
    "int4-gpu": Precision(_HALF, _HALF, bits=4),
    # For the CPU. A bfloat16 checkpoint's embeddings lose next to nothing in half precision, and the file is half.
    "int8": Precision(_FLOAT, _HALF, bits=8),
    "int4": Precision(_FLOAT, _HALF, bits=4),
    "mixed": Precision(_FLOAT, _HALF, bits=4, vision_bits=8),
}
"""Name on the command line -> types."""
