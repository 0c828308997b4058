# SPDX-License-Identifier: Apache-2.0
"""What TensorRT makes of the graphs, read from the plans of engines at GAR-1B's widths: the speed that can be had.

A plan that loses a fusion still gives right answers, several times slower. No test of numbers sees that.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from gar_export.precision import PRECISIONS
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION
from gar_ros.engine.runtime.tensorrt.profiles import graph_profiles
from tests.engine.runtime.tensorrt.plan import BuiltPlan, Plan, attentions_in, build_plan, weight_bytes
from tests.fixtures_export import ByName

PROMPT, FEW_TOKENS = 0, 1
"""The decoder's profiles."""


VARIANTS = [name for name in ("fp16", "bf16", "int4-gpu") if name in PRECISIONS]


@pytest.fixture(scope="module", params=VARIANTS)
def model(request: pytest.FixtureRequest, wide_export: ByName) -> ModelDir:
    """GAR-1B's widths, tiles and positions, two layers of each kind."""
    return ModelDir.open(wide_export(request.param))


@pytest.fixture(scope="module")
def built(model: ModelDir, tmp_path_factory: pytest.TempPathFactory) -> dict[str, BuiltPlan]:
    """Graph -> its plan."""
    folder = tmp_path_factory.mktemp("plans")
    return {graph: build_plan(model, graph, folder / f"{graph}.log") for graph in (VISION, REPLAY, DECODER)}


@pytest.mark.parametrize("graph", [VISION, DECODER])
def test_attention_is_fused_in_every_layer(model: ModelDir, built: dict[str, BuiltPlan], graph: str) -> None:
    layers = attentions_in(model.file(graph))
    assert layers == 2
    assert [len(plan.attentions()) for plan in built[graph].profiles] == [layers] * len(
        graph_profiles(model.manifest)[graph]
    )


@pytest.mark.parametrize("profile", [PROMPT, FEW_TOKENS])
def test_the_kv_cache_is_read_once_and_never_repeated(
    model: ModelDir, built: dict[str, BuiltPlan], profile: int
) -> None:
    """One kernel appends the new tokens to it, for the output and for the attention. The query heads that share a key
    head do not get copies of it."""
    plan, sizes = built[DECODER].profiles[profile], model.manifest.sizes
    width = sizes.kv_heads * sizes.head_dim
    for layer in range(sizes.layers):
        for kind in ("key", "value"):
            (reader,) = plan.readers(f"past_key_values.{layer}.{kind}")
            assert max(tensor.width for tensor in reader.outputs) == width, reader
    for attention in plan.attentions():
        assert max(tensor.width for tensor in attention.inputs) == width, attention


@pytest.mark.parametrize("profile", [PROMPT, FEW_TOKENS])
def test_a_decoder_layer_is_eleven_kernels(model: ModelDir, built: dict[str, BuiltPlan], profile: int) -> None:
    """Beside those for norm, head and tail, which is few for a vocabulary as small as this one."""
    kernels = built[DECODER].profiles[profile].kernels
    assert len(kernels) <= 11 * model.manifest.sizes.layers + 6, [kernel.name for kernel in kernels]


@pytest.mark.parametrize("profile", [PROMPT, FEW_TOKENS])
def test_logits_stay_on_the_gpu(model: ModelDir, built: dict[str, BuiltPlan], profile: int) -> None:
    """What comes out of the engine is keys, values, the embeddings of the next tokens, and single numbers."""
    outputs = {value.name for value in onnx.load(model.file(DECODER), load_external_data=False).graph.output}
    written = [tensor for kernel in built[DECODER].profiles[profile].kernels for tensor in kernel.outputs]
    told = {tensor.name: tensor.width for tensor in written if tensor.name in outputs}
    assert told.keys() == outputs
    del told["next_embeds"]
    assert max(width for name, width in told.items() if not name.startswith("present")) == 1


@pytest.mark.parametrize("graph", [VISION, DECODER])
def test_all_profiles_share_the_weights(model: ModelDir, built: dict[str, BuiltPlan], graph: str) -> None:
    assert built[graph].engine_bytes <= 1.1 * weight_bytes(model.file(graph))


def test_scratch_memory_is_bounded(model: ModelDir, built: dict[str, BuiltPlan]) -> None:
    """For the largest shapes, in MB. All graphs use one block, of the largest need. In the decoder that is the mask of
    a piece of the prompt, and for a few tokens a copy of one layer's cache."""
    needs = {graph: [plan.scratch_bytes / 1e6 for plan in one.profiles] for graph, one in built.items()}
    assert max(needs[VISION]) < 500
    assert max(needs[REPLAY]) < (400 if model.manifest.dtypes[REPLAY] == "float16" else 800)
    assert needs[DECODER][PROMPT] < 300
    assert needs[DECODER][FEW_TOKENS] < 30


def test_a_profile_for_exactly_one_token_would_fuse_nothing(wide_export: ByName, tmp_path: Path) -> None:
    """Why FEW is not 1."""
    model = ModelDir.open(wide_export("fp16"))
    prompt, few = graph_profiles(model.manifest)[DECODER]
    one = {name: replace(shapes, largest=_one(name, shapes.largest)) for name, shapes in few.items()}
    built = build_plan(model, DECODER, tmp_path / "log", [prompt, one])
    plan: Plan = built.profiles[FEW_TOKENS]
    assert plan.attentions() == []
    assert len(plan.kernels) > 15 * model.manifest.sizes.layers
    assert built.engine_bytes > 1.5 * weight_bytes(model.file(DECODER))


def _one(name: str, largest: tuple[int, ...]) -> tuple[int, ...]:
    """The largest shape for a single token."""
    tokens = {"inputs_embeds": 1, "position_ids": 1, "logits_idx": 0}
    axis = tokens.get(name)
    return largest if axis is None else (*largest[:axis], 1, *largest[axis + 1 :])
