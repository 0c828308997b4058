# SPDX-License-Identifier: Apache-2.0
"""`gar verify --activations`: which tensors come near float16's largest number, 65504."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from gar_export.activations import LIMIT, Activation, as_json, as_text, largest_activations
from gar_export.checkpoint import WEIGHTS
from gar_export.exporter import export_checkpoint
from gar_ros.cli.main import main
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION

LAYER = "mllm.model.language_model.layers.1.mlp"


@pytest.fixture
def large_channel(checkpoint: Path, tmp_path: Path) -> Path:
    """float32 model of a checkpoint in which one channel between the two halves of an MLP is a million times as large,
    and its weights afterwards as much smaller: the same function."""
    tensors = load_file(checkpoint / WEIGHTS)
    tensors[f"{LAYER}.up_proj.weight"][7] *= 2**20
    tensors[f"{LAYER}.down_proj.weight"][:, 7] /= 2**20
    save_file(tensors, checkpoint / WEIGHTS)
    export_checkpoint(checkpoint, tmp_path / "large")
    return tmp_path / "large"


def test_a_large_channel_comes_first_and_is_beyond_float16(
    large_channel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output of up_proj, and its product with the gate; nothing behind down_proj."""
    file = tmp_path / "activations.json"
    assert main(["verify", str(large_channel), "--threads", "1", "--activations", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("decoder.onnx MatMul             layers.1.mlp.up_proj.weight")
    tensors = json.loads(file.read_text())["tensors"]
    beyond = [one for one in tensors if one["largest"] > LIMIT]
    assert {(one["graph"], one["near"]) for one in beyond} == {(DECODER, "layers.1.mlp.up_proj.weight")}
    assert [one["operator"] for one in beyond] == ["MatMul", "Mul"]
    assert lines[-1] == f"{len(tensors)} tensors, 2 of them beyond float16's largest number"


def test_an_ordinary_model_stays_far_below(exported_1b: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(exported_1b), "--threads", "1", "--activations"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(" 0 of them beyond float16's largest number")


def test_pictures_may_be_asked_about(exported_1b: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The white one gives the vision graph other numbers than the black one; the table has the larger of both."""
    words = ["verify", str(exported_1b), "--threads", "1", "--activations"]
    for name, shade in (("black", 0), ("white", 255)):
        Image.fromarray(np.full((40, 60, 3), shade, np.uint8)).save(tmp_path / f"{name}.png")
    largest = {}
    for names in (["black"], ["white"], ["black", "white"]):
        pictures = [word for name in names for word in ("--image", str(tmp_path / f"{name}.png"))]
        file = tmp_path / f"{'-'.join(names)}.json"
        assert main([*words, str(file), *pictures]) == 0
        tensors = json.loads(file.read_text())["tensors"]
        largest["-".join(names)] = {(one["graph"], one["tensor"]): one["largest"] for one in tensors}
    assert largest["black"] != largest["white"]
    for tensor, value in largest["black-white"].items():
        assert value == pytest.approx(max(largest["black"][tensor], largest["white"][tensor]))


def test_a_file_that_cannot_be_written_is_told_at_once(
    exported_1b: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(exported_1b), "--activations", str(tmp_path / "nowhere/a.json")]) == 2
    assert "expected to write activations to" in capsys.readouterr().err


def test_all_graphs_are_watched_and_masks_and_squares_are_not(exported_1b: Path) -> None:
    """The mask of the scores is -1e9, which stays in float32 whatever the precision."""
    found = largest_activations(exported_1b, threads=1)
    assert {one.graph for one in found} == {VISION, REPLAY, DECODER}
    assert [one.largest for one in found] == sorted((one.largest for one in found), reverse=True)
    assert 0 < found[-1].largest <= found[0].largest < 1000
    of_decoder = [one for one in found if one.graph == DECODER]
    # Of each of two layers: 4 products, 2 of attention; of the head 1.
    assert [one.operator for one in of_decoder].count("MatMul") == 2 * 7
    assert [one.operator for one in of_decoder].count("Gemm") == 1


def test_float16_that_overflows_is_infinite(large_channel: Path, checkpoint: Path, tmp_path: Path) -> None:
    export_checkpoint(checkpoint, tmp_path / "half", precision="fp16")
    first = largest_activations(tmp_path / "half", threads=1)[0]
    assert not np.isfinite(first.largest)
    assert "inf" in as_text([first]) or "nan" in as_text([first])


@pytest.mark.parametrize("precision", ["bf16_1b", "int4_gpu_1b"])
def test_every_precision_for_gpus_can_be_watched(
    request: pytest.FixtureRequest, exported_1b: Path, precision: str
) -> None:
    """Their largest activation is of the size of float32's."""
    found, expected = (
        largest_activations(folder, threads=1)[0] for folder in (request.getfixturevalue(precision), exported_1b)
    )
    assert 0.5 < found.largest / expected.largest < 2


def test_the_table_and_the_json() -> None:
    found = [
        Activation(DECODER, "MatMul_7", "MatMul", "layers.0.mlp.up_proj.weight", float("inf")),
        Activation(VISION, "linear", "Add", "blocks.0.attn.qkv.bias", 655.04),
    ]
    lines = as_text(found).splitlines()
    assert lines[2] == "   1.00%        655  vision.onnx  Add                blocks.0.attn.qkv.bias"
    assert lines[3] == "2 tensors, 1 of them beyond float16's largest number"
    data = json.loads(as_json(found, "gar"))
    assert (data["limit"], data["tensors"][0]["largest"], data["tensors"][1]["largest"]) == (65504.0, "inf", 655.04)
