# SPDX-License-Identifier: Apache-2.0
"""Vision in int8: what becomes of the graph, what `gar verify` makes of it, and that outliers don't get through."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import onnx
import pytest
from safetensors.torch import load_file, save_file

from gar_export.checkpoint import WEIGHTS
from gar_export.exporter import export_checkpoint
from gar_export.quantise import BLOCK
from gar_export.verify import verify
from gar_export.vision_bits import quantise_vision
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, REPLAY, VISION

VIT = "mllm.model.vision_tower.timm_model.blocks"


@pytest.fixture(scope="module")
def mixed_1b(checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of `checkpoint_1b` with vision in int8 and the decoder in int4."""
    out = tmp_path_factory.mktemp("mixed") / "model"
    export_checkpoint(checkpoint_1b, out, precision="mixed")
    return out


def test_every_linear_layer_has_few_bits_and_nothing_else(mixed_1b: Path) -> None:
    """Query, key and value joined, output, and two of the MLP in each of two layers; two of the projector."""
    manifest = ModelDir.open(mixed_1b).manifest
    assert manifest.dtypes == {VISION: "int8", REPLAY: "float32", DECODER: "int4", EMBEDDINGS: "float16"}
    graph = onnx.load(mixed_1b / VISION).graph
    products = [node for node in graph.node if node.op_type == "MatMulNBits"]
    forms = [{attribute.name: attribute.i for attribute in node.attribute} for node in products]
    assert len(products) == 2 * 4 + 2
    assert {(form["bits"], form["block_size"], form["accuracy_level"]) for form in forms} == {(8, BLOCK, 4)}
    kinds = [node.op_type for node in graph.node]
    assert (kinds.count("Conv"), kinds.count("MatMul")) == (2, 2 * 2)  # patches and masks; attention of two layers


def test_weights_of_a_large_graph_stay_in_a_file_of_their_own(
    exported_1b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gar_export.vision_bits.EXTERNAL_DATA_BYTES", 1000)
    path = tmp_path / VISION
    path.write_bytes((exported_1b / VISION).read_bytes())
    quantise_vision(path, bits=8)
    assert path.stat().st_size < 300_000 < (tmp_path / f"{VISION}.data").stat().st_size
    onnx.checker.check_model(onnx.load(path), full_check=False)


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_verify_accepts_it(mixed_1b: Path, checkpoint_1b: Path, provider: str) -> None:
    if find_spec(provider) is None and provider != "cpu":
        pytest.skip("openvino is not installed (make test)")
    stages = {stage.name: stage for stage in verify(mixed_1b, checkpoint_1b, threads=1, provider=provider)}
    assert list(stages)[:3] == ["features in int8", "image features", "replay"]
    assert [name for name, stage in stages.items() if not stage.passed] == []
    assert stages["features in int8"].difference > 0


def test_a_model_with_outliers_does_not_pass(checkpoint: Path, tmp_path: Path) -> None:
    """One channel in each norm is 1024 times as large, and its weights as much smaller: the same function in float32.

    In int8 the channel sets the step of its block, which leaves nothing of the other channels.
    """
    tensors = load_file(checkpoint / WEIGHTS)
    for layer in range(2):
        for norm, reader in (("norm1", "attn.qkv"), ("norm2", "mlp.fc1")):
            tensors[f"{VIT}.{layer}.{norm}.weight"][5] *= 1024
            tensors[f"{VIT}.{layer}.{norm}.bias"][5] *= 1024
            tensors[f"{VIT}.{layer}.{reader}.weight"][:, 5] /= 1024
    save_file(tensors, checkpoint / WEIGHTS)
    export_checkpoint(checkpoint, tmp_path / "model", precision="mixed")
    moved, exact, *_ = verify(tmp_path / "model", checkpoint, threads=1)
    assert (moved.name, moved.passed) == ("features in int8", False)
    assert (exact.name, exact.passed) == ("image features", True)
