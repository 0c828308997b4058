# SPDX-License-Identifier: Apache-2.0
"""Which precisions each provider can run. The number types are those of the manifest."""

from __future__ import annotations

from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION, Manifest
from gar_ros.errors import ErrorCode, GarError

_GRAPHS = (VISION, REPLAY, DECODER)

_ORT = {"float32", "float16", "int8", "int4", "int4-float16"}

RUNS = {
    "tensorrt": {"float32", "float16", "bfloat16", "int4-float16"},
    "cuda": _ORT,
    "cpu": _ORT,
    "openvino": _ORT - {"int4-float16"},
}
"""Provider -> number types of graphs that it runs."""

_PRECISIONS = {
    "tensorrt": "fp16, bf16 or int4-gpu",
    "cuda": "fp16",
    "cpu": "int4",
    "openvino": "mixed",
}
"""Provider -> what to export for it."""

_IN_WORDS = {
    "int8": "int8 weights in blocks",
    "int4": "int4 weights in blocks",
    "int4-float16": "int4 weights in blocks, float16 activations",
    "bfloat16": "bfloat16 products",
}


def in_words(number_type: str) -> str:
    """A number type of a manifest as people read it."""
    return _IN_WORDS.get(number_type, number_type)


def providers_of(manifest: Manifest) -> list[str]:
    """The providers that can run every graph of a model, where they are installed."""
    wanted = set(_types(manifest).values())
    return [provider for provider, types in RUNS.items() if wanted <= types]


def check_precision(manifest: Manifest, provider: str) -> None:
    """Raises GarError BAD_MODEL for a model with a graph in numbers that the provider can't run."""
    odd = {graph: kind for graph, kind in _types(manifest).items() if kind not in RUNS[provider]}
    if not odd:
        return
    came = ", ".join(f"{graph} has {in_words(kind)}" for graph, kind in odd.items())
    able = ", ".join(providers_of(manifest)) or "no provider"
    raise GarError(
        ErrorCode.BAD_MODEL,
        f"{provider} can't run this precision: {came}, which {able} can; "
        f"or export the model again with `gar export --precision {_PRECISIONS[provider]}`",
    )


def _types(manifest: Manifest) -> dict[str, str]:
    """Graph -> its number type; float32 where the manifest names none."""
    return {graph: manifest.dtypes.get(graph, "float32") for graph in _GRAPHS}
