# SPDX-License-Identifier: Apache-2.0
"""`gar export --precision bf16` and `int4-gpu`: what is in the graphs, and that their numbers are the checkpoint's."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest

from gar_export.bfloat16 import computed_in_float32, products_in_bfloat16, write_for_the_cpu
from gar_export.exporter import export_checkpoint
from gar_export.graph import GraphBuilder
from gar_export.synthetic import synthetic_image
from gar_export.verify import verify
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, REPLAY, VISION
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.errors import GarError
from gar_ros.region import Region
from tests.engine.golden import IMAGE_CASES
from tests.engine.test_golden import record_logits
from tests.fixtures_export import ByName
from tests.fixtures_golden import FindCase

OpenOfPrecision = Callable[[str, str], GarEngine]
"""Golden checkpoint and precision -> engine."""

FLOAT, HALF, BFLOAT16, INT4 = (getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "BFLOAT16", "INT4"))


def test_manifests_tell_the_numbers(bf16_1b: Path, int4_gpu_1b: Path) -> None:
    found = [ModelDir.open(folder).manifest for folder in (bf16_1b, int4_gpu_1b)]
    assert found[0].dtypes == {VISION: "bfloat16", REPLAY: "float32", DECODER: "bfloat16", EMBEDDINGS: "float16"}
    assert found[1].dtypes == {VISION: "float16", REPLAY: "float16", DECODER: "int4-float16", EMBEDDINGS: "float16"}
    assert {manifest.kv_cache for manifest in found} == {"joined"}


@pytest.mark.parametrize("precision", ["bf16_1b", "int4_gpu_1b"])
@pytest.mark.parametrize("name", [VISION, REPLAY, DECODER])
def test_graphs_are_valid_and_have_standard_operators_alone(
    request: pytest.FixtureRequest, precision: str, name: str
) -> None:
    path = request.getfixturevalue(precision) / name
    model = onnx.load(path)
    assert {node.domain for node in model.graph.node} == {""}
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("name", [VISION, DECODER])
def test_in_bfloat16_are_products_alone(bf16_1b: Path, name: str) -> None:
    """Between them is float32, in attention and in the head float16: all inputs and outputs are of NumPy's types."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(bf16_1b / name)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.input, *graph.output)}
    types |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    computing = {node.op_type for node in graph.node if BFLOAT16 in [types[word] for word in node.input]}
    assert computing == {"MatMul", "Cast"}
    layers = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in names_of_constants(graph)]
    assert len(layers) == 4 * 2 + 2
    assert {types[node.input[1]] for node in layers} == {BFLOAT16}
    outside = {types[value.name] for value in (*graph.input, *graph.output)}
    assert outside <= {FLOAT, HALF, onnx.TensorProto.INT64, onnx.TensorProto.UINT8}


def test_weights_of_4_bits_are_in_the_layers_and_of_8_in_the_head(int4_gpu_1b: Path, exported_1b: Path) -> None:
    graph = onnx.load(int4_gpu_1b / DECODER).graph
    manifest = ModelDir.open(exported_1b).manifest
    small = {tensor.name: list(tensor.dims) for tensor in graph.initializer if tensor.data_type == INT4}
    assert len(small) == 5 * manifest.sizes.layers
    assert small["layers.0.mlp.down_proj.weight.int4"] == [64, 32]
    (head,) = [tensor for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.INT8]
    assert (head.name, list(head.dims)) == ("lm_head.weight.int8", [32, manifest.sizes.vocab])
    products = [node for node in graph.node if node.op_type == "DequantizeLinear"]
    forms = {tuple(sorted((part.name, part.i) for part in node.attribute)) for node in products}
    assert forms == {(("axis", 0), ("block_size", 32)), (("axis", 0), ("block_size", 64)), (("axis", 1),)}


@pytest.mark.parametrize("precision", ["fp16_1b", "int4_gpu_1b"])
def test_long_sums_of_float16_are_float32(request: pytest.FixtureRequest, precision: str) -> None:
    """The products that sum most numbers, after the MLP, stand between casts; the others don't."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(request.getfixturevalue(precision) / DECODER)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    made_by = {node.output[0]: node for node in graph.node}
    wide = [node for node in graph.node if node.op_type == "MatMul" and types[node.output[0]] == FLOAT]
    assert len(wide) == 2
    for node in wide:
        assert [made_by[word].op_type for word in node.input] == ["Cast", "Cast"]
        assert types[made_by[node.input[0]].input[0]] == HALF
        (after,) = [reader for reader in graph.node if node.output[0] in reader.input]
        assert (after.op_type, types[after.output[0]]) == ("Cast", HALF)


@pytest.mark.parametrize("precision", ["bf16_1b", "int4_gpu_1b"])
def test_verify_accepts_it(request: pytest.FixtureRequest, precision: str, checkpoint_1b: Path) -> None:
    """bfloat16 as float32 with the same rounding, int4 against torch with weights that were rounded alike."""
    stages = list(verify(request.getfixturevalue(precision), checkpoint_1b, threads=1))
    assert [stage.name for stage in stages if not stage.passed] == []
    assert len(stages) == 7
    assert stages[0].difference > 0


def test_the_cpu_serves_int4_and_refuses_bfloat16(bf16_1b: Path, int4_gpu_1b: Path) -> None:
    engine = GarEngine.open(int4_gpu_1b, "cpu", threads=1)
    image, regions = synthetic_image(engine.manifest.sizes)
    answer = engine.encode(image, regions, max_tiles=1).ask("Is <Prompt0> larger?", ["yes", "no"])
    assert sum(answer.probabilities) == pytest.approx(1)
    with pytest.raises(GarError, match=r"cpu can't run this precision: vision\.onnx has bfloat16 products"):
        GarEngine.open(bf16_1b, "cpu")


def test_what_the_cpu_computes_for_bfloat16_is_rounded_to_it(tmp_path: Path) -> None:
    """1.0078125 squared is 1.01568 and the nearest numbers of bfloat16 are 1.015625 and 1.0234375; in float32 the
    output would be the square. Weights that bfloat16 doesn't hold are rounded first: 1.001 is 1."""
    graph = GraphBuilder("product", tmp_path / "product.onnx")
    x = graph.input("x", np.float32, ["rows", 2])
    graph.op("MatMul", x, graph.weight("w", np.array([[1.0078125], [1.001]], np.float32)), out="y")
    graph.output("y", np.float32, ["rows", 1])
    graph.save()
    products_in_bfloat16(tmp_path / "product.onnx")
    model = onnx.load(tmp_path / "product.onnx")
    assert [tensor.data_type for tensor in model.graph.initializer] == [BFLOAT16]
    onnx.save(computed_in_float32(model), tmp_path / "on_cpu.onnx")
    found = OrtRuntime("cpu", 1).load(tmp_path / "on_cpu.onnx")
    values = np.array([[1.0078125, 0], [0, 1.001], [1, 1]], np.float32)
    assert found.run({"x": values})["y"].numpy().ravel().tolist() == [1.015625, 1, 2]


def test_random_products_are_float32_ones_rounded_at_both_ends(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    x, w = (generator.normal(size=shape).astype(np.float32) for shape in ((5, 64), (64, 7)))
    graph = GraphBuilder("product", tmp_path / "product.onnx")
    graph.op("MatMul", graph.input("x", np.float32, ["rows", 64]), graph.weight("w", w), out="y")
    graph.output("y", np.float32, ["rows", 7])
    graph.save()
    products_in_bfloat16(tmp_path / "product.onnx")
    onnx.save(computed_in_float32(onnx.load(tmp_path / "product.onnx")), tmp_path / "on_cpu.onnx")
    found = OrtRuntime("cpu", 1).load(tmp_path / "on_cpu.onnx").run({"x": x})["y"].numpy()
    rounded = [array.astype(ml_dtypes.bfloat16).astype(np.float32) for array in (x, w)]
    expected = (rounded[0] @ rounded[1]).astype(ml_dtypes.bfloat16).astype(np.float32)
    np.testing.assert_allclose(found, expected, rtol=2**-7)  # a step where the sums' orders differ
    assert (found == expected).mean() > 0.9


@pytest.fixture(scope="module")
def golden_engine_of(golden_checkpoint: ByName, tmp_path_factory: pytest.TempPathFactory) -> OpenOfPrecision:
    """Engine of a golden checkpoint, exported in a precision; bfloat16 as the CPU computes its numbers."""

    @cache
    def find(checkpoint: str, precision: str) -> GarEngine:
        folder = tmp_path_factory.mktemp("golden") / "model"
        export_checkpoint(golden_checkpoint(checkpoint), folder, precision=precision)
        if precision == "bf16":
            write_for_the_cpu(folder, folder.with_name("on_cpu"))
            folder = folder.with_name("on_cpu")
        return GarEngine.open(folder, "cpu", threads=1)

    return find


@pytest.mark.parametrize(("precision", "near"), [("fp16", 0.02), ("bf16", 0.1)])
@pytest.mark.parametrize("name", IMAGE_CASES)
def test_logits_of_the_golden_cases(
    golden_engine_of: OpenOfPrecision,
    golden_case: FindCase,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    precision: str,
    near: float,
) -> None:
    """Of the first token, relative to their spread. The golden weights are random, which amplifies every rounding."""
    case = golden_case(name)
    engine = golden_engine_of(case.info["checkpoint"], precision)
    regions = [Region.from_mask(str(number), mask) for number, mask in enumerate(case.masks)]
    frame = engine.encode(case.images[0], regions, max_tiles=case.info["max_num_tiles"])
    logits = record_logits(engine, monkeypatch)
    answer = frame.describe(max_tokens=1) if case.caption else frame.ask(case.question, max_tokens=1)
    expected = case.arrays[case.ours.key("logits_steps")][0]
    distance = np.linalg.norm(logits[-1][case.arrays["used_ids"]] - expected)
    assert 0 < distance / np.linalg.norm(expected - expected.mean()) < near
    if precision == "fp16":
        assert list(answer.token_ids) == case.ours.generated_ids[: len(answer.token_ids)]


def test_int4_of_the_golden_checkpoint(golden_checkpoint: ByName, tmp_path: Path) -> None:
    """Rounding to 4 bits moves the logits of so small a random model beyond recognition, so what it is compared with
    has the same rounded weights."""
    export_checkpoint(golden_checkpoint("tiny_gar_1b"), tmp_path / "model", precision="int4-gpu")
    stages = list(verify(tmp_path / "model", golden_checkpoint("tiny_gar_1b"), threads=1))
    assert [stage.name for stage in stages if not stage.passed] == []


def names_of_constants(graph: onnx.GraphProto) -> set[str]:
    return {tensor.name for tensor in graph.initializer}
