# SPDX-License-Identifier: Apache-2.0
"""What TensorRT for RTX makes of a decoder layer of GAR-1B's widths in each precision for GPUs: real plans, no GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import DTypeLike

from gar_export.config import DecoderConfig
from gar_export.decoder_graph import write_decoder
from gar_export.graph import BFLOAT16
from gar_ros.engine.runtime.tensorrt.profiles import Profile, Range
from tests.export.rtx_engine import build_for_sm86

SIZES = DecoderConfig(
    hidden=2048,
    layers=1,
    heads=32,
    kv_heads=8,
    head_dim=64,
    ffn=8192,
    vocab=32768,
    max_positions=11520,
    rms_eps=1e-5,
    tied_head=True,
)
PREFIX = "mllm.model.language_model."
PRECISIONS: dict[str, tuple[DTypeLike, int | None]] = {
    "fp16": (np.float16, None),
    "bf16": (BFLOAT16, None),
    "int4-gpu": (np.float16, 4),
}


class RandomWeights:
    """A checkpoint of SIZES."""

    def __init__(self) -> None:
        width, inner, of_keys = SIZES.hidden, SIZES.ffn, SIZES.kv_heads * SIZES.head_dim
        layer: dict[str, tuple[int, ...]] = {"input_layernorm": (width,), "post_attention_layernorm": (width,)}
        layer |= {f"self_attn.{kind}_proj": (width, width) for kind in "qo"}
        layer |= {f"self_attn.{kind}_proj": (of_keys, width) for kind in "kv"}
        layer |= {"mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner)}
        outside = {"embed_tokens": (SIZES.vocab, width), "norm": (width,)}
        shapes = outside | {f"layers.0.{name}": shape for name, shape in layer.items()}
        self._shapes = {f"{PREFIX}{name}.weight": shape for name, shape in shapes.items()}

    def names(self) -> list[str]:
        return sorted(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def read(self, name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return (torch.randn(self._shapes[name], generator=generator) * 0.02).to(dtype)


@pytest.fixture(scope="module", params=PRECISIONS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int, int, list[str]]:
    """Name of the precision, bytes of the graph with its weights and of the engine, and the plan of a few tokens."""
    dtype, bits = PRECISIONS[request.param]
    path = tmp_path_factory.mktemp("plan") / "decoder.onnx"
    inv_freq = np.float32(500000.0) ** (np.arange(32, dtype=np.float32) / -32)
    weights: Any = RandomWeights()
    write_decoder(path, SimpleNamespace(decoder=SIZES), weights, inv_freq, dtype, bits, tail="tokens")  # type: ignore[arg-type]
    engine, log = build(path)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    return request.param, size, engine, list(kernels(log))


def build(path: Path) -> tuple[int, str]:
    """Bytes of a decoder's engine, for pieces of a prompt and for 1 to 8 tokens, and the builder's log."""
    size, lines = build_for_sm86(
        path,
        [profile((1, 1024, 1024), (0, 1024, 11519), (1, 1, 64)), profile((1, 1, 8), (1, 1536, 11519), (1, 1, 8))],
    )
    return size, "\n".join(lines)


def profile(tokens: Sequence[int], past: Sequence[int], rows: Sequence[int]) -> Profile:
    """Each of them: the fewest, the usual number and the most."""
    cache = Range(*((1, SIZES.kv_heads, count, SIZES.head_dim) for count in past))
    return {
        "inputs_embeds": Range(*((1, count, SIZES.hidden) for count in tokens)),
        "position_ids": Range(*((1, count) for count in tokens)),
        "logits_idx": Range(*((count,) for count in rows)),
        "scored_ids": Range((1,), (1,), (SIZES.vocab,)),
        **{f"past_key_values.0.{kind}": cache for kind in ("key", "value")},
    }


def kernels(log: str) -> Iterator[str]:
    """The lines of the plan about each kernel of the second profile."""
    for line in log.splitlines():
        if re.match(r"Name: .*(_myl1_|\[profile 1\])", line) and "shape_call" not in line:
            yield line


def test_the_engine_is_as_small_as_its_weights(built: tuple[str, int, int, list[str]]) -> None:
    precision, graph, engine, _ = built
    assert engine < 1.1 * graph
    assert graph < (100e6 if precision == "int4-gpu" else 260e6)


def test_attention_is_one_kernel(built: tuple[str, int, int, list[str]]) -> None:
    assert sum("_gemm_mha" in line for line in built[3]) == 1


def test_int4_and_int8_are_read_by_the_products_themselves(built: tuple[str, int, int, list[str]]) -> None:
    """Query, key and value; output; gate and up together; down; the head of 8 bits. And by the lookup of a token, which
    reads its numbers in the head."""
    precision, _, _, plan = built
    reading = [line for line in plan if re.search("Datatype: Int[48]", line)]
    names = [match[1] for line in reading if (match := re.match(r"Name: __myl_(\w+)_myl1", line))]
    lookup = "CastMulCastReshCastCastGathTranCast"
    expected = ["CastMulCastFc", lookup, *["ReplCastMulCastFc"] * 4] if precision == "int4-gpu" else []
    assert sorted(names) == expected


def test_casts_around_long_sums_unfold_no_matrix(built: tuple[str, int, int, list[str]]) -> None:
    """The matrix after the MLP is read as it is stored, and no kernel writes it."""
    matrix = r"Dimensions: \[(?:1,)?(?:8192,2048|2048,8192)\], [^}]*Datatype: (\w+)"
    expected = {"fp16": {"Half"}, "bf16": {"BFloat16"}, "int4-gpu": {"Int4"}}
    assert {kind for line in built[3] for kind in re.findall(matrix, line)} == expected[built[0]]


def test_the_tail_reads_the_logits_on_the_gpu(built: tuple[str, int, int, list[str]]) -> None:
    """One kernel for each of maximum, lowest id and sum, over parts of the vocabulary; one for what is scored, and one
    that looks up the embedding. None sorts, and no other than the head's product writes the logits, but for their copy
    in float32 beside the maximum."""
    written = [re.sub(r".*Outputs: \[(.*?)\], TacticName.*", r"\1", line) for line in built[3]]
    assert sum(f",{SIZES.vocab}]" in outputs for outputs in written) == 2
    tail = [
        line.split("_myl1")[0] for line in built[3] if re.search("Maxr|Minr|ExpSum|LogAdd|Gath", line.split(",")[0])
    ]
    kinds = ("Maxr", "Minr", "ExpSum", "LogAddNeg", "CastGath")
    assert all(any(kind in name for name in tail) for kind in kinds), tail
    assert not any("Topk" in line or "Sort" in line for line in built[3])
