"""Checkpoints and models for the tests of the torch side."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from gar_ros.export.checkpoint import load_checkpoint
from gar_ros.export.model import GarModel

torch.set_num_threads(1)


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
