# SPDX-License-Identifier: Apache-2.0
"""`gar ask` and `gar info` on an exported model: what it answers means nothing here, its form does."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gar_ros.cli.ask import add_arguments
from gar_ros.cli.main import main

STAGES = ["load", "tile", "vision", "replay", "prefill", "question", "decode"]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """--image and two --mask options of a small RGBA picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    words = ["--image", str(tmp_path / "image.png")]
    for name, columns in (("a", slice(2, 10)), ("b", slice(20, 30))):
        mask = np.zeros((30, 40), np.uint8)
        mask[5:20, columns] = 255
        Image.fromarray(mask).save(tmp_path / f"{name}.png")
        words += ["--mask", str(tmp_path / f"{name}.png")]
    return words


@pytest.fixture
def ask(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> str:
        options = ["--model", str(model_dir), "--max-tiles", "1", "--threads", "1"]
        assert main(["ask", *options, *words]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return run


def test_a_closed_question_as_json(ask: Any, files: list[str]) -> None:
    answer = json.loads(ask(*files, "Is <Prompt0> left of <Prompt1>?", "--choices", "yes,no", "--json"))
    assert answer["answer"] == ["yes", "no"][answer["choice"]]
    assert sum(answer["probabilities"]) == pytest.approx(1)
    assert answer["confidence"] == answer["probabilities"][answer["choice"]] == max(answer["probabilities"])
    assert answer["complete"] is True
    assert answer["generated_tokens"] == 0
    assert list(answer["seconds"]) == STAGES


def test_free_text_as_json(ask: Any, files: list[str]) -> None:
    answer = json.loads(ask(*files, "What is <Prompt1>?", "--max-tokens", "3", "--json"))
    assert len(answer["token_ids"]) == answer["generated_tokens"] == 3
    assert (answer["choice"], answer["probabilities"], answer["complete"]) == (-1, [], False)
    assert answer["prompt_tokens"] > 4 * 64  # thumbnail, tile and two regions


def test_prompts_are_numbered_in_the_order_given() -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--image", "i.png", "--mask", "a.png", "--box", "1,2,3,4", "--mask", "b.png", "What?"])
    assert args.regions == [Path("a.png"), (1, 2, 3, 4), Path("b.png")]


def test_a_box_is_the_same_region_as_its_mask(ask: Any, files: list[str]) -> None:
    question = ["Which is larger, <Prompt0> or <Prompt1>?", "--choices", "<Prompt0>,<Prompt1>", "--json"]
    masks = json.loads(ask(*files, *question))
    mixed = json.loads(ask(*files[:2], "--box", "2,5,10,20", *files[4:], *question))
    assert mixed["probabilities"] == masks["probabilities"]


def test_a_shape_in_alpha_or_on_a_black_that_is_1_is_the_same_region(
    ask: Any, files: list[str], tmp_path: Path
) -> None:
    question = ["Is <Prompt0> red?", "--choices", "yes,no", "--json"]
    plain = json.loads(ask(*files[:4], *question))
    shape = np.asarray(Image.open(files[3])) > 0
    masks = (np.dstack([np.full((30, 40, 3), 255), shape * 255]), np.where(shape, 255, 1)[..., None].repeat(3, 2))
    for number, mask in enumerate(masks):
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / f"other{number}.png")
        other = json.loads(ask(*files[:2], "--mask", str(tmp_path / f"other{number}.png"), *question))
        assert other["probabilities"] == plain["probabilities"]


def test_plain_output(ask: Any, files: list[str]) -> None:
    lines = ask(*files, "Is <Prompt0> red?", "--choices", "yes,no").splitlines()
    assert lines[0] in ("yes", "no")
    assert [line.split()[1] for line in lines[1:]] == ["yes", "no"]


def test_describe(ask: Any, files: list[str]) -> None:
    assert json.loads(ask(*files[:4], "--describe", "--max-tokens", "2", "--json"))["generated_tokens"] == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["What is <Prompt2>?"], "expected a region for <Prompt2>"),
        (["What?", "--choices", "yes"], "at least two different, non-empty choices"),
        (["What?", "--max-tokens", "0"], "max_tokens of at least 1"),
        (["What?", "--max-tiles", "99"], "max_tiles in 1..16"),
        (["--describe"], "expected one region to describe, got 2"),
    ],
)
def test_what_the_engine_refuses_is_told_in_one_line(
    model_dir: Path, capsys: pytest.CaptureFixture[str], files: list[str], words: list[str], expected: str
) -> None:
    assert main(["ask", "--model", str(model_dir), "--max-tiles", "1", *files, *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("gar: ")
    assert expected in err
    assert err.count("\n") == 1


def test_verbose_says_what_it_runs_on(model_dir: Path, files: list[str]) -> None:
    """In a process of its own: logging is set up once."""
    words = ["ask", "--model", str(model_dir), "--provider", "cpu", "--max-tiles", "1", "--max-tokens", "1"]
    command = [sys.executable, "-m", "gar_ros.cli.main", *words, *files, "What?", "--verbose"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "on cpu: cpu was asked for" in done.stderr


def test_info_is_readable_and_json_is_the_manifest(model_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model_dir)]) == 0
    text = capsys.readouterr().out
    assert "at most 16 tiles of 288 px and a thumbnail" in text
    assert "RoI convention correct" in text
    assert main(["info", str(model_dir), "--json"]) == 0
    assert capsys.readouterr().out == (model_dir / "manifest.json").read_text()
