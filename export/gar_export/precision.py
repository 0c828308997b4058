# SPDX-License-Identifier: Apache-2.0
"""What `gar export --precision` means for each graph and for the embedding table. One folder has one precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, REPLAY, VISION, KvForm, NumberType


@dataclass(frozen=True)
class Precision:
    """Types of an exported model. Logits are float32 whatever the precision."""

    graphs: np.dtype  # of vision and replay, and of the decoder's activations and KV cache
    table: np.dtype  # of the embedding table
    bits: int | None = None  # of the decoder's weight matrices, None where they are as the graphs
    vision_bits: int | None = None  # of the vision graph's

    @property
    def kv_cache(self) -> KvForm:
        """Split where only ONNX Runtime can run the decoder; TensorRT is slower with a split cache."""
        return "split" if self.bits else "joined"

    def dtypes(self) -> dict[str, NumberType]:
        """The manifest's types: those of the weights where they differ from the activations'."""
        vision, decoder = (f"int{bits}" if bits else self.graphs.name for bits in (self.vision_bits, self.bits))
        names = {VISION: vision, REPLAY: self.graphs.name, DECODER: decoder, EMBEDDINGS: self.table.name}
        return cast(dict[str, NumberType], names)


_FLOAT, _HALF = np.dtype(np.float32), np.dtype(np.float16)

PRECISIONS = {
    "fp32": Precision(_FLOAT, _FLOAT),
    "fp16": Precision(_HALF, _HALF),  # for GPUs; the CPU can run it too, slowly
    # For the CPU. A bfloat16 checkpoint's embeddings lose next to nothing in half precision, and the file is half.
    "int8": Precision(_FLOAT, _HALF, bits=8),
    "int4": Precision(_FLOAT, _HALF, bits=4),
    "mixed": Precision(_FLOAT, _HALF, bits=4, vision_bits=8),
}
"""Name on the command line -> types."""
