"""Checkpoints and models for the tests of the torch side."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
import torch

from gar_ros.export.checkpoint import load_checkpoint
from gar_ros.export.model import GarModel
from tests.fixtures_export import golden_model_dir  # noqa: F401, a fixture

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint_1b(shared: Path) -> Path:
    """The golden GAR-1B-shaped checkpoint folder; read-only."""
    return shared / "golden/tiny_gar_1b"


@pytest.fixture(scope="session")
def checkpoint_8b(shared: Path, checkpoint_1b: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden GAR-8B-shaped checkpoint folder, unpacked, with the tokenizer and template that it shares."""
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny_gar_8b_like"
    shutil.copytree(shared / "golden/tiny_gar_8b_like", folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    packed = folder / "model.safetensors.gz"
    (folder / "model.safetensors").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    for name in ("tokenizer.json", "chat_template.jinja"):
        shutil.copyfile(checkpoint_1b / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def models(checkpoint_1b: Path, checkpoint_8b: Path) -> dict[str, GarModel]:
    """Both golden models by their folders' names, without gradients."""
    return {folder.name: load_checkpoint(folder)[0].requires_grad_(False) for folder in (checkpoint_1b, checkpoint_8b)}


@pytest.fixture
def checkpoint(checkpoint_1b: Path, tmp_path: Path) -> Path:
    """A copy of the golden 1B-shaped checkpoint, to be damaged."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint_1b, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    return folder
