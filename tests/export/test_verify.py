# SPDX-License-Identifier: Apache-2.0
"""`gar verify`: what passes, and what it finds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from gar_export.verify import Stage, verify
from gar_ros.cli.main import main
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.hash_cache import sha256_of
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, MANIFEST, REPLAY, VISION
from gar_ros.errors import GarError

STAGES = [
    "image features",
    "replay",
    "prompt ids",
    "embeddings",
    "prefill logits",
    "decode step logits",
    "greedy ids",
]


@pytest.fixture
def model_dir(exported_1b: Path, tmp_path: Path) -> Path:
    """A copy of `exported_1b`, to be damaged."""
    return Path(shutil.copytree(exported_1b, tmp_path / "model"))


def test_an_export_passes(exported_1b: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(exported_1b), "--threads", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:20].strip() for line in lines] == ["stage", *STAGES]
    assert all(line.endswith(" ok") for line in lines[1:])


@pytest.mark.parametrize(
    ("file", "constant", "failing"),
    [
        (VISION, "patch_embed.proj.weight", ["image features", "greedy ids"]),
        (DECODER, "layers.1.mlp.down_proj.weight", ["prefill logits", "decode step logits", "greedy ids"]),
    ],
)
def test_a_graph_with_other_weights_fails_in_its_stage(
    model_dir: Path, checkpoint_1b: Path, file: str, constant: str, failing: list[str]
) -> None:
    _negate(model_dir / file, constant)
    _accept(model_dir, file)
    stages = list(verify(model_dir, checkpoint_1b, threads=1))
    assert [stage.name for stage in stages] == STAGES
    assert [stage.name for stage in stages if not stage.passed] == failing


def test_another_embedding_table_fails(
    model_dir: Path, checkpoint_1b: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = np.load(model_dir / EMBEDDINGS)
    table[7, 3] += 1e-6
    np.save(model_dir / EMBEDDINGS, table)
    _accept(model_dir, EMBEDDINGS)
    assert main(["verify", str(model_dir), "--checkpoint", str(checkpoint_1b), "--threads", "1"]) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("embeddings")]
    assert line.endswith("FAILED")


def test_the_checkpoint_must_be_the_exported_one(model_dir: Path, checkpoint_8b: Path, tmp_path: Path) -> None:
    with pytest.raises(GarError, match="expected the checkpoint that was exported, of SHA-256"):
        list(verify(model_dir, checkpoint_8b))
    with pytest.raises(GarError, match=r"expected the checkpoint folder .*nowhere; name it with --checkpoint"):
        list(verify(model_dir, tmp_path / "nowhere"))


def test_a_damaged_export_is_not_compared(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model_dir / REPLAY).unlink()
    assert main(["verify", str(model_dir)]) == 2
    assert "replay.onnx is missing" in capsys.readouterr().err


def test_not_a_number_never_passes() -> None:
    assert not Stage("logits", float("nan"), 1).passed


def _negate(path: Path, constant: str) -> None:
    model = onnx.load(path)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name.endswith(constant)]
    tensor.CopyFrom(onnx.numpy_helper.from_array(-onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, path)


def _accept(model_dir: Path, file: str) -> None:
    """Writes a changed file's size and hash into the manifest."""
    manifest = json.loads((model_dir / MANIFEST).read_text())
    path = model_dir / file
    manifest["files"][file] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    (model_dir / MANIFEST).write_text(json.dumps(manifest))


def test_the_shipped_model_names_the_checkpoint_beside_it(checkout: Path) -> None:
    shipped = checkout / "models/gar-tiny"
    assert (shipped / ModelDir.open(shipped).manifest.source["checkpoint"]).resolve() == shipped / "checkpoint"
