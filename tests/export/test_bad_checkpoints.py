# SPDX-License-Identifier: Apache-2.0
"""`gar export` of a checkpoint folder that can't be used: exit code 2, an error of one line, and nothing is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from gar_export.checkpoint import WEIGHTS, save_checkpoint
from gar_export.config import CONFIG, PREPROCESSOR, read_json
from gar_export.model import GarModel
from gar_ros.cli.main import main

Refuse = Callable[[], str]


@pytest.fixture
def refuse(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """The error about the checkpoint folder."""

    def run() -> str:
        before = {path.name for path in tmp_path.iterdir()}
        assert main(["export", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "out")]) == 2
        assert {path.name for path in tmp_path.iterdir()} == before
        out, err = capsys.readouterr()
        *progress, error = err.splitlines()
        assert out == ""
        assert all(line.startswith("[") for line in progress)
        assert error.startswith("gar: ")
        return error

    return run


@pytest.mark.parametrize("file", [CONFIG, PREPROCESSOR, "tokenizer.json", "chat_template.jinja", WEIGHTS])
def test_a_folder_without_a_file(refuse: Refuse, checkpoint: Path, file: str) -> None:
    (checkpoint / file).unlink()
    assert file in refuse()


def test_no_folder(refuse: Refuse, checkpoint: Path) -> None:
    checkpoint.rename(checkpoint.with_name("elsewhere"))
    assert str(checkpoint) in refuse()


def test_a_shard_cut_in_half(refuse: Refuse, checkpoint: Path, models: dict[str, GarModel]) -> None:
    save_checkpoint(models["small_1b"], checkpoint, shard_bytes=4_000_000)
    shard = sorted(checkpoint.glob("model-*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    assert f"{shard.name} is damaged" in refuse()


def test_a_tokenizer_without_the_special_tokens(refuse: Refuse, checkpoint: Path) -> None:
    path = checkpoint / "tokenizer.json"
    data = read_json(path)
    data["added_tokens"] = []
    path.write_text(json.dumps(data))
    assert "tokenizer.json: expected a special token with the id 128000 that config.json names" in refuse()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"model_type": "llava", "text_config": {}}, '\'model_type\': expected "GAR", got "llava"'),
        ({"architectures": ["LlamaForCausalLM"]}, "'model_type': missing"),
        ({"model_type": "GAR"}, "'kernel_size': missing"),
    ],
)
def test_a_config_of_another_architecture(refuse: Refuse, checkpoint: Path, data: dict, expected: str) -> None:
    (checkpoint / CONFIG).write_text(json.dumps(data))
    assert f"{CONFIG}: {expected}" in refuse()


def test_weights_of_another_size(refuse: Refuse, checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    norm = "mllm.model.language_model.norm.weight"
    weights[norm] = weights[norm][:-1].clone()
    del weights["mask_patch_embedding.weight"]
    save_file(weights, checkpoint / WEIGHTS)
    error = refuse()
    assert "missing: 'mask_patch_embedding.weight'" in error
    assert f"'{norm}' has shape [31], expected [32]" in error
