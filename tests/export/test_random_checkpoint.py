# SPDX-License-Identifier: Apache-2.0
"""Random checkpoints of the released sizes: the same names, shapes and types as the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gar_export import random_checkpoint
from gar_export.checkpoint import INDEX, Weights, load_checkpoint
from gar_export.config import CONFIG, PREPROCESSOR, GarConfig, read_json
from gar_export.random_checkpoint import main, random_weight, sized, weight_shapes
from gar_ros.errors import GarError

SMALL = {
    "text": {"hidden_size": 32, "num_hidden_layers": 2, "tie_word_embeddings": True},
    "rope_factor": 32.0,
    "architecture": "vit_pe_core_large_patch14_336",
    "vision": {"depth": 3},
    "class_token": True,
    "max_num_tiles": 4,
}


@pytest.mark.parametrize("size", ["1b", "8b"])
def test_names_and_shapes_are_the_released_ones(shared: Path, checkpoint_1b: Path, size: str) -> None:
    released = json.loads((shared / f"golden/statedict_gar_{size}.json").read_text())["tensors"]
    config = sized(size, read_json(checkpoint_1b / CONFIG), read_json(checkpoint_1b / PREPROCESSOR))
    found = weight_shapes(GarConfig.from_json(*config))
    assert {name: list(shape) for name, shape in found.items()} == {
        name: entry["shape"] for name, entry in released.items()
    }


@pytest.mark.parametrize("size", ["1b", "8b"])
def test_fewer_layers_leave_every_width(checkpoint_1b: Path, size: str) -> None:
    whole, cut = (
        weight_shapes(
            GarConfig.from_json(
                *sized(size, read_json(checkpoint_1b / CONFIG), read_json(checkpoint_1b / PREPROCESSOR), *layers)
            )
        )
        for layers in ((None, None), (2, 3))
    )
    assert cut.items() < whole.items()
    assert max(int(name.split("layers.")[1].split(".")[0]) for name in cut if "layers." in name) == 1
    assert max(int(name.split("blocks.")[1].split(".")[0]) for name in cut if "blocks." in name) == 2


def test_a_checkpoint_in_several_shards_loads(
    checkpoint_1b: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(random_checkpoint.SIZES, "small", SMALL)
    monkeypatch.setattr(random_checkpoint, "_SHARD_BYTES", 3_000_000)
    out = tmp_path / "random"
    assert main(["--size", "small", "--tokenizer-from", str(checkpoint_1b), "--out", str(out)]) == 0
    assert (out / INDEX).is_file()
    model, config = load_checkpoint(out)
    assert (len(model.vit.blocks), config.decoder.layers) == (3, 2)
    weights = Weights(out)
    assert len(weights.files) > 1
    assert all(weights.read(name, torch.float32).isfinite().all() for name in weights.names())
    assert main(["--size", "small", "--tokenizer-from", str(checkpoint_1b), "--out", str(out)]) == 2


def test_an_existing_folder_is_never_written(checkpoint_1b: Path, tmp_path: Path) -> None:
    with pytest.raises(GarError, match="expected --out to be a new folder"):
        random_checkpoint.write_random_checkpoint("1b", checkpoint_1b, tmp_path)


def test_a_weight_is_the_same_each_time_and_another_for_another_name_or_seed() -> None:
    first = random_weight("a.weight", (4, 8), 2, seed=0)
    assert first.dtype == torch.bfloat16
    assert torch.equal(first, random_weight("a.weight", (4, 8), 2, seed=0))
    assert not torch.equal(first, random_weight("b.weight", (4, 8), 2, seed=0))
    assert not torch.equal(first, random_weight("a.weight", (4, 8), 2, seed=1))
