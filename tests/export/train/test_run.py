# SPDX-License-Identifier: Apache-2.0
"""State files of training runs, and the weights that are written in the end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from gar_export.train.run import load_mean


def modules() -> nn.ModuleDict:
    return nn.ModuleDict({"model": nn.Linear(2, 2, bias=False)})


def state(path: Path, value: float) -> Path:
    """A state file whose averaged weights all have this value; the present ones don't count."""
    weights = torch.full((2, 2), value)
    save_file({"average.model.weight": weights, "now.model.weight": weights + 100}, path)
    return path


def test_the_mean_is_over_the_averaged_weights_of_all_states(tmp_path: Path) -> None:
    loaded = modules()
    load_mean(loaded, [state(tmp_path / "a", 1.0), state(tmp_path / "b", 4.0)])
    assert torch.equal(loaded.state_dict()["model.weight"], torch.full((2, 2), 2.5))


def test_a_stage_that_never_ran_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the stage before this one first"):
        load_mean(modules(), [state(tmp_path / "a", 1.0), tmp_path / "none" / "state.safetensors"])
