# SPDX-License-Identifier: Apache-2.0
"""The released way that `gar bench latency` measures, and what it says a pass costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache

from gar_export.checkpoint import load_checkpoint
from gar_export.model import GarModel
from gar_export.released import Released, costs
from gar_export.tokens import prompt_builder
from gar_ros.bench.latency.scene import drawn_scene
from gar_ros.bench.latency.work import Case, Work
from gar_ros.bench.latency.worker import Recorder

TOKENS = 40


@pytest.fixture(scope="module", params=["small_1b", "small_8b"])
def folder(request: pytest.FixtureRequest, checkpoint_1b: Path, checkpoint_8b: Path) -> Path:
    return checkpoint_1b if request.param == "small_1b" else checkpoint_8b


@pytest.fixture(scope="module")
def model(folder: Path) -> GarModel:
    return load_checkpoint(folder)[0].requires_grad_(False)


def counted(counter: FlopCounterMode) -> int:
    """What torch has counted, without the products of the rotary embedding; it can't see into attention."""
    return sum(count for name, count in counter.get_flop_counts()["Global"].items() if "bmm" not in str(name))


@torch.inference_mode()
def test_a_tile_costs_what_torch_counts_and_its_attention(model: GarModel) -> None:
    config, side = model.config, model.config.tile
    with FlopCounterMode(display=False) as counter:
        model.encode_tiles(torch.zeros(1, 3, side, side), torch.zeros(1, 1, side, side))
    positions = (side // config.patch) ** 2 + config.class_token
    attention = len(model.vit.blocks) * 2 * (2 * positions * positions * config.vision_width)
    assert costs(model, TOKENS)["tile_flops"] == counted(counter) + attention


@torch.inference_mode()
def test_a_prompt_costs_what_torch_counts_and_half_of_its_attention(model: GarModel) -> None:
    text = model.config.decoder
    with FlopCounterMode(display=False) as counter:
        hidden = model.hidden_states(
            torch.zeros(1, TOKENS, text.hidden), torch.arange(TOKENS)[None], cache=DynamicCache()
        )
        model.head(hidden[0, -1])
    attention = text.layers * 2 * (2 * TOKENS * TOKENS * text.heads * text.head_dim) // 2
    assert costs(model, TOKENS)["prefill_flops"] == counted(counter) + attention


def test_a_pass_encodes_reads_and_writes_each_token(folder: Path, model: GarModel) -> None:
    released = Released(model, prompt_builder(folder, model.config), drawn_scene(), limits=False)
    recorder = Recorder()
    released.do(Work(Case("question", tiles=1, regions=2, tokens=3), frame=1), recorder)
    marks, counts = recorder.measured.marks["pass"], recorder.measured.counts
    assert len(marks) == 1 + 3
    assert marks == sorted(marks)
    assert counts["tiles"] == 1 + model.config.thumbnail
    assert counts["prompt_tokens"] > (counts["tiles"] + 2) * model.config.grid**2


def test_quick_measures_both_sides(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gar_ros.cli.main", "bench", "latency", "--quick", "--json", str(tmp_path / "j")]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "j").read_text())["rows"]
    assert all(row["released"] > 0 and row["ratio"] > 0 for row in rows)
