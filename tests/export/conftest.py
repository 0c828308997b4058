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
from tests.export.small_checkpoint import SHAPES
from tests.fixtures_export import ByName

torch.set_num_threads(1)

LoadModel = Callable[[str], GarModel]


@pytest.fixture(scope="session")
def golden_model(golden_checkpoint: ByName) -> LoadModel:
    """torch model of the golden checkpoint of that name, without gradients."""
    return cache(lambda name: load_checkpoint(golden_checkpoint(name))[0].requires_grad_(False))


@pytest.fixture(scope="session")
def models(small_checkpoint: ByName) -> dict[str, GarModel]:
    """torch models of both small random checkpoints by their folders' names, without gradients."""
    return {name: load_checkpoint(small_checkpoint(name))[0].requires_grad_(False) for name in SHAPES}


@pytest.fixture
def checkpoint(checkpoint_1b: Path, tmp_path: Path) -> Path:
    """A copy of `checkpoint_1b`, to be damaged."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(checkpoint_1b, folder, copy_function=shutil.copyfile)
    folder.chmod(0o755)
    return folder
