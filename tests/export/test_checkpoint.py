# SPDX-License-Identifier: Apache-2.0
"""Checkpoint folders: what is written is read back, and every parameter is accounted for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gar_export.checkpoint import (
    EMBEDDING,
    HEAD,
    INDEX,
    WEIGHTS,
    Weights,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from gar_export.model import GarModel
from gar_ros.errors import ErrorCode, GarError

NORM = "mllm.model.language_model.norm.weight"
MASK = "mask_patch_embedding.weight"


@pytest.mark.parametrize("shard_bytes", [10**10, 4_000_000])
def test_saved_weights_are_read_back(
    models: dict[str, GarModel], checkpoint_1b: Path, tmp_path: Path, shard_bytes: int
) -> None:
    model = models["small_1b"]
    save_checkpoint(model, tmp_path, like=checkpoint_1b, shard_bytes=shard_bytes)
    assert (tmp_path / INDEX).exists() == (shard_bytes < 10**10)
    _expect_equal(load_checkpoint(tmp_path)[0], model)


def test_an_untied_head_is_saved_and_a_tied_one_is_not(models: dict[str, GarModel], tmp_path: Path) -> None:
    for name, written in (("small_1b", False), ("small_8b", True)):
        save_checkpoint(models[name], tmp_path, dtype=torch.bfloat16)
        assert (HEAD in Weights(tmp_path).names()) == written


def test_saving_again_leaves_no_shard_of_the_last_time(models: dict[str, GarModel], tmp_path: Path) -> None:
    save_checkpoint(models["small_1b"], tmp_path, shard_bytes=4_000_000)
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 1
    save_checkpoint(models["small_1b"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [WEIGHTS]


def test_a_loaded_tied_head_is_the_embedding_table(models: dict[str, GarModel]) -> None:
    mllm = models["small_1b"].mllm
    assert mllm.lm_head.weight is mllm.get_input_embeddings().weight
    mllm = models["small_8b"].mllm
    assert not torch.equal(mllm.lm_head.weight, mllm.get_input_embeddings().weight)


def test_without_the_decoder_its_parameters_take_no_memory(checkpoint_1b: Path, models: dict[str, GarModel]) -> None:
    reference = models["small_1b"]
    model = load_model(reference.config, Weights(checkpoint_1b), decoder=False)
    on_meta = {name for name, parameter in model.named_parameters() if parameter.is_meta}
    assert on_meta == {name for name, _ in reference.named_parameters() if "language_model" in name}
    assert torch.equal(model.inv_freq, reference.inv_freq)
    assert torch.equal(model.mask_patch_embedding.weight, reference.mask_patch_embedding.weight)


def test_a_tied_head_in_the_file_is_accepted_when_it_equals_the_table(checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    weights[HEAD] = weights[EMBEDDING].clone()
    save_file(weights, checkpoint / WEIGHTS)
    load_checkpoint(checkpoint)
    weights[HEAD][5, 5] += 1
    save_file(weights, checkpoint / WEIGHTS)
    _expect_refusal(checkpoint, f"'{HEAD}' differs from '{EMBEDDING}'")


def test_missing_tensors_are_named(checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    del weights[NORM], weights[MASK]
    save_file(weights, checkpoint / WEIGHTS)
    _expect_refusal(checkpoint, f"missing: '{MASK}', '{NORM}'$")


def test_left_over_tensors_are_named(checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    weights["mllm.model.language_model.layers.2.extra"] = torch.zeros(1)
    save_file(weights, checkpoint / WEIGHTS)
    _expect_refusal(checkpoint, r"left over: 'mllm\.model\.language_model\.layers\.2\.extra'$")


def test_tensors_of_another_shape_are_named(checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    weights[NORM] = torch.zeros(31)
    save_file(weights, checkpoint / WEIGHTS)
    _expect_refusal(checkpoint, rf"'{NORM}' has shape \[31\], expected \[32\]")


def test_of_many_tensors_of_another_shape_the_rest_is_counted(checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    norms = sorted(name for name in weights if name.endswith("layernorm.weight"))
    norms += sorted(name for name in weights if ".norm" in name and name not in norms)
    save_file(weights | {name: torch.zeros(3) for name in norms[:7]}, checkpoint / WEIGHTS)
    _expect_refusal(checkpoint, r"has shape \[3\].*; 2 more of another shape$")


def test_integer_tensors_are_refused(checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    weights[NORM] = torch.zeros(32, dtype=torch.int8)
    save_file(weights, checkpoint / WEIGHTS)
    _expect_refusal(checkpoint, f"expected floating-point numbers in '{NORM}', got torch.int8")


def test_a_truncated_file_is_named(checkpoint: Path) -> None:
    path = checkpoint / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])
    _expect_refusal(checkpoint, r"model\.safetensors is damaged or is not a safetensors file")
    path.write_bytes(b"not weights")
    _expect_refusal(checkpoint, r"model\.safetensors is damaged or is not a safetensors file")


def test_a_folder_without_weights_is_refused(checkpoint: Path) -> None:
    (checkpoint / WEIGHTS).unlink()
    (checkpoint / "pytorch_model.bin").write_bytes(b"pickle")
    _expect_refusal(checkpoint, r"expected model\.safetensors or model\.safetensors\.index\.json")


@pytest.fixture
def shards(checkpoint: Path, models: dict[str, GarModel]) -> list[Path]:
    """The shards of the checkpoint folder, which has several."""
    save_checkpoint(models["small_1b"], checkpoint, shard_bytes=4_000_000)
    return sorted(checkpoint.glob("model-*.safetensors"))


def test_an_absent_shard_is_named(checkpoint: Path, shards: list[Path]) -> None:
    shards[1].unlink()
    _expect_refusal(checkpoint, f"names the shard {shards[1].name}, which is not in the checkpoint folder")


def test_a_truncated_shard_is_named(checkpoint: Path, shards: list[Path]) -> None:
    shards[1].write_bytes(shards[1].read_bytes()[: shards[1].stat().st_size // 2])
    _expect_refusal(checkpoint, f"{shards[1].name} is damaged")


def test_an_index_that_disagrees_with_its_shards_is_refused(checkpoint: Path, shards: list[Path]) -> None:
    index = json.loads((checkpoint / INDEX).read_text())
    del index["weight_map"][NORM]
    (checkpoint / INDEX).write_text(json.dumps(index))
    _expect_refusal(checkpoint, f"{INDEX} and its shards disagree on '{NORM}'")


def test_an_index_never_leads_out_of_the_folder(checkpoint: Path, shards: list[Path]) -> None:
    index = {"weight_map": {NORM: "../elsewhere.safetensors"}}
    (checkpoint / INDEX).write_text(json.dumps(index))
    _expect_refusal(checkpoint, r"expected names of safetensors files of this folder, got '\.\./elsewhere")


def _expect_equal(found: GarModel, expected: GarModel) -> None:
    state = found.state_dict()
    assert list(state) == list(expected.state_dict())
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.state_dict().items())


def _expect_refusal(checkpoint: Path, message: str) -> None:
    with pytest.raises(GarError, match=message) as refusal:
        load_checkpoint(checkpoint)
    assert refusal.value.code == ErrorCode.BAD_MODEL
