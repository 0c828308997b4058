# SPDX-License-Identifier: Apache-2.0
"""Checkpoints and models for the tests of the torch side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from gar_export.checkpoint import load_checkpoint
from gar_export.model import GarModel
from tests.fixtures_export import ByName

torch.set_num_threads(1)

LoadModel = Callable[[str], GarModel]


@pytest.fixture(scope="session")
def golden_model(golden_checkpoint: ByName) -> LoadModel:
    """torch model of the golden checkpoint of that name, without gradients."""
    return cache(lambda name: load_checkpoint(golden_checkpoint(name))[0].requires_grad_(False))


@pytest.fixture(scope="session")
def models(golden_model: LoadModel) -> dict[str, GarModel]:
    """Both golden models by their folders' names, without gradients."""
    return {name: golden_model(name) for name in ("tiny_gar_1b", "tiny_gar_8b_like")}


@pytest.fixture
def checkpoint(checkpoint_1b: Path, tmp_path: Path) -> Path:
    """A copy of the golden 1B-shaped checkpoint, to be damaged."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint_1b, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    return folder
