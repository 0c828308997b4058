# SPDX-License-Identifier: Apache-2.0
"""`gar export --precision fp16`: half precision from the tiles to the KV cache, float32 where half would blur."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from gar_export.synthetic import synthetic_image
from gar_ros.cli.main import main
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, REPLAY, VISION
from gar_ros.engine.runtime.protocol import on_host

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
INT64, UINT8 = onnx.TensorProto.INT64, onnx.TensorProto.UINT8


def test_the_manifest_and_the_table_say_so(exported_1b: Path, fp16_1b: Path) -> None:
    half, single = ModelDir.open(fp16_1b), ModelDir.open(exported_1b)
    assert half.manifest.dtypes == dict.fromkeys((VISION, REPLAY, DECODER, EMBEDDINGS), "float16")
    np.testing.assert_array_equal(half.embeddings(), single.embeddings().astype(np.float16))
    assert half.manifest.files[DECODER].bytes < 0.55 * single.manifest.files[DECODER].bytes


@pytest.mark.parametrize("name", [VISION, REPLAY, DECODER])
def test_inputs_and_outputs_are_half_but_logits_are_not(fp16_1b: Path, name: str) -> None:
    graph = onnx.load(fp16_1b / name).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    assert {types.pop(name, FLOAT) for name in ("next_log_p", "log_sums", "scored_logits")} == {FLOAT}
    assert {types.pop(name, INT64) for name in ("position_ids", "logits_idx", "scored_ids", "next_ids")} == {INT64}
    assert {types.pop(name, UINT8) for name in ("pixel_values", "mask_values")} == {UINT8}, "as tiles are"
    assert set(types.values()) == {HALF}


@pytest.mark.parametrize("name", [VISION, DECODER])
def test_softmax_and_norms_compute_in_float32(fp16_1b: Path, name: str) -> None:
    graph = onnx.shape_inference.infer_shapes(onnx.load(fp16_1b / name)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in graph.value_info}
    sensitive = [
        node for node in graph.node if node.op_type in ("Softmax", "ReduceMean", "Sqrt", "Cos", "Sin", "Exp", "Log")
    ]
    assert {node.op_type for node in sensitive} >= {"Softmax"}
    assert {types[node.input[0]] for node in sensitive} == {FLOAT}
    for node in graph.node:
        if node.op_type == "LayerNormalization":
            stash = [attribute.i for attribute in node.attribute if attribute.name == "stash_type"]
            assert stash in ([], [FLOAT])


def test_the_engine_runs_it_on_the_cpu(exported_1b: Path, fp16_1b: Path) -> None:
    """Features agree to half precision; the KV cache stays half and is fed back as it is."""
    single, half = (GarEngine.open(folder, "cpu", threads=1) for folder in (exported_1b, fp16_1b))
    image, regions = synthetic_image(single.manifest.sizes)
    frames = [engine.encode(image, regions, max_tiles=1) for engine in (single, half)]
    features, half_features = (on_host(frame._features) for frame in frames)
    assert half_features.dtype == np.float32
    assert 0 < np.abs(half_features - features).max() < 5e-3 * np.abs(features).max()
    answer = frames[1].ask("What is <Prompt0>?", ["this", "that"])
    expected = frames[0].ask("What is <Prompt0>?", ["this", "that"])
    assert answer.probabilities == pytest.approx(expected.probabilities, abs=0.02)
    cache, _ = half.decoder.prefill(half.decoder.empty, half.decoder.embed([1, 2]), lambda: None)
    assert {on_host(value).dtype for value in cache.values.values()} == {np.dtype(np.float16)}


def test_verify_accepts_it(fp16_1b: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(fp16_1b), "--threads", "1"]) == 0
    assert capsys.readouterr().out.count(" ok\n") == 7
