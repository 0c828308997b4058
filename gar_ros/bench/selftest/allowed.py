# SPDX-License-Identifier: Apache-2.0
"""How far a provider may be from the CPU, by the precision of the graph."""

from __future__ import annotations

from dataclasses import dataclass

from gar_ros.bench.selftest.row import Limit

GPU_PROVIDERS = ("cuda", "tensorrt")


@dataclass(frozen=True)
class Allowed:
    """features, replay, logits: of stages, each on the CPU's inputs. probability: of a choice, from the image on."""

    features: Limit
    replay: Limit
    logits: Limit
    probability: float


_FLOAT16 = Allowed(Limit(5e-3, 0.9999), Limit(2e-3, 0.9999), Limit(2e-2, 0.999), 0.02)
_BY_PRECISION = {
    "float32": Allowed(Limit(1e-4, 0.99999), Limit(1e-4, 0.99999), Limit(1e-3, 0.9999), 0.005),
    "float16": _FLOAT16,
    "int4-float16": _FLOAT16,
    "bfloat16": Allowed(Limit(4e-2, 0.999), Limit(1.6e-2, 0.999), Limit(0.15, 0.99), 0.1),
    "few bits": Allowed(Limit(0.2, 0.99), Limit(0.2, 0.99), Limit(0.3, 0.98), 0.1),
}
"""Float32 and float16 as `gar verify` has them, against torch; bfloat16 eight times float16, as its mantissa is three
bits shorter. Weights of few bits make activations int8, which each runtime rounds in its own way; but for those beside
float16 activations, which both sides compute with the same numbers."""


def allowed_for(precision: str, provider: str) -> Allowed:
    """precision: of the graph, as its manifest says."""
    if precision == "float32" and provider in GPU_PROVIDERS:
        precision = "float16"  # GPUs multiply float32 in TF32, whose mantissa is float16's
    return _BY_PRECISION.get(precision, _BY_PRECISION["few bits"])
