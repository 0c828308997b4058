# SPDX-License-Identifier: Apache-2.0
"""`gar export`: the model folder, its manifest, and what is never overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gar_export.checkpoint import EMBEDDING, WEIGHTS, Weights
from gar_export.exporter import export_checkpoint
from gar_ros.cli.main import main
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.hash_cache import sha256_of
from gar_ros.engine.model_dir.manifest import DECODER, EMBEDDINGS, MANIFEST, REPLAY, TOKENIZER, VISION, Manifest
from gar_ros.errors import ErrorCode, GarError


def test_the_runtime_opens_the_folder(exported_1b: Path) -> None:
    manifest = ModelDir.open(exported_1b).manifest
    assert set(manifest.files) == {VISION, REPLAY, DECODER, EMBEDDINGS, TOKENIZER}
    assert {path.name for path in exported_1b.iterdir()} == {*manifest.files, MANIFEST}


def test_the_manifest_tells_how_to_run_the_model(exported_1b: Path) -> None:
    manifest = Manifest.from_json((exported_1b / MANIFEST).read_text())
    assert manifest.name == "small_1b"
    assert manifest.roi_convention == "released"
    assert manifest.sizes.tile_tokens == 256
    assert manifest.tokens.eos == (128009, 128001)
    assert manifest.dtypes == dict.fromkeys((VISION, REPLAY, DECODER, EMBEDDINGS), "float32")


def test_the_manifest_tells_where_the_model_is_from(exported_1b: Path, checkpoint_1b: Path) -> None:
    manifest = Manifest.from_json((exported_1b / MANIFEST).read_text())
    assert (exported_1b / manifest.source["checkpoint"]).resolve() == checkpoint_1b.resolve()
    assert not Path(manifest.source["checkpoint"]).is_absolute()
    assert manifest.source["sha256"] == sha256_of(checkpoint_1b / WEIGHTS)
    assert {"gar_ros", "torch", "transformers", "timm", "onnx"} <= set(manifest.made_by)


def test_the_embedding_table_is_the_checkpoints(exported_1b: Path, checkpoint_1b: Path) -> None:
    table = np.load(exported_1b / EMBEDDINGS, mmap_mode="r")
    assert table.dtype == np.float32
    np.testing.assert_array_equal(table, Weights(checkpoint_1b).read(EMBEDDING).numpy())


def test_exporting_again_gives_the_same_bytes_and_replaces_the_folder(
    exported_1b: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exported"
    shutil.copytree(exported_1b, out)
    (out / REPLAY).write_bytes(b"damaged")
    assert main(["export", "--checkpoint", str(checkpoint), "--out", str(out), "--name", "again"]) == 0
    found, expected = ModelDir.open(out).manifest, ModelDir.open(exported_1b).manifest
    assert found.files == expected.files
    assert found.name == "again"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint", "exported"]
    assert "vision.onnx: tracing 2 layers, 128 wide" in capsys.readouterr().err


def test_a_folder_with_other_files_is_never_replaced(exported_1b: Path, checkpoint_1b: Path, tmp_path: Path) -> None:
    photographs, model = tmp_path / "photographs", tmp_path / "model"
    photographs.mkdir()
    (photographs / "robot.png").touch()
    shutil.copytree(exported_1b, model)
    (model / "notes.txt").touch()
    for out, file in ((photographs, "robot.png"), (model, "notes.txt"), (photographs / "robot.png", "robot.png")):
        with pytest.raises(GarError, match=f"holds other files: {file}") as refusal:
            export_checkpoint(checkpoint_1b, out)
        assert refusal.value.code == ErrorCode.INVALID_REQUEST
        assert out.exists()


@pytest.mark.parametrize("positions", [0, 11521])
def test_a_context_that_the_checkpoint_does_not_have_is_refused(
    checkpoint_1b: Path, tmp_path: Path, positions: int
) -> None:
    with pytest.raises(GarError, match=f"expected 1 to 11520 positions, which the checkpoint has, got {positions}"):
        export_checkpoint(checkpoint_1b, tmp_path / "out", max_positions=positions)
    assert not (tmp_path / "out").exists()


def test_a_failed_export_leaves_nothing_behind(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = checkpoint / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    out = tmp_path / "exported"
    assert main(["export", "--checkpoint", str(checkpoint), "--out", str(out)]) == 2
    assert "gar: model.safetensors is damaged" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_checkpoint_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--checkpoint", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "expected a file config.json in the checkpoint folder" in capsys.readouterr().err


def test_an_older_export_may_be_replaced(tmp_path: Path, checkpoint: Path) -> None:
    """Its format version no longer opens, but it is known to be an export; the checkpoint is refused later."""
    out = tmp_path / "old"
    out.mkdir()
    (out / "vision.onnx").touch()
    manifest = {"format": "gar_ros-model", "format_version": 0, "files": {"vision.onnx": {}}}
    (out / MANIFEST).write_text(json.dumps(manifest))
    (checkpoint / TOKENIZER).unlink()
    with pytest.raises(GarError, match=r"expected a file tokenizer\.json"):
        export_checkpoint(checkpoint, out)
    assert (out / "vision.onnx").exists()
