# SPDX-License-Identifier: Apache-2.0
"""`gar ask` on the golden cases, from picture files to the ids that the released code generated."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gar_ros.cli.main import main
from gar_ros.region import Region
from tests.engine.golden import IMAGE_CASES, VIDEO_CASES, GoldenCase
from tests.fixtures_export import ByName, OpenEngine
from tests.fixtures_golden import FindCase

Ask = Callable[..., dict]


@pytest.fixture
def ask(golden_export: ByName, capsys: pytest.CaptureFixture[str]) -> Ask:
    """What `gar ask --json` prints about a case."""

    def run(case: GoldenCase, *words: str) -> dict:
        model = str(golden_export(case.info["checkpoint"]))
        assert main(["ask", "--model", model, "--threads", "1", "--max-tokens", "16", "--json", *words]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return dict(json.loads(out))

    return run


def saved(folder: Path, name: str, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(folder / name)
    return str(folder / name)


def mask_words(folder: Path, case: GoldenCase) -> list[str]:
    return [saved(folder, f"mask_{number}.png", mask) for number, mask in enumerate(case.masks)]


@pytest.mark.parametrize("name", IMAGE_CASES)
def test_questions_and_descriptions_give_the_released_ids(
    ask: Ask, golden_case: FindCase, tmp_path: Path, name: str
) -> None:
    """A caption case is asked with --describe, which brings the released caption prompt."""
    case = golden_case(name)
    words = ["--image", saved(tmp_path, "image.png", case.images[0]), "--max-tiles", str(case.info["max_num_tiles"])]
    for mask in mask_words(tmp_path, case):
        words += ["--mask", mask]
    answer = ask(case, *words, "--describe" if case.caption else case.question)
    expected = case.ours.generated_ids
    assert answer["token_ids"] == expected[: len(answer["token_ids"])]
    assert answer["complete"] == (len(answer["token_ids"]) < len(expected))
    assert answer["prompt_tokens"] == case.ours.info["n_input_ids"]


@pytest.mark.parametrize("name", VIDEO_CASES)
def test_a_video_is_asked_frame_by_frame(
    ask: Ask, golden_case: FindCase, golden_engine: OpenEngine, tmp_path: Path, name: str
) -> None:
    """As the engine answers, which tests/engine/test_golden.py holds to the released ids."""
    case = golden_case(name)
    words = []
    for number, (image, mask) in enumerate(zip(case.images, mask_words(tmp_path, case), strict=True)):
        words += ["--frame", saved(tmp_path, f"frame_{number}.png", image), "--mask", mask]
    regions = [Region.from_mask(str(number), mask) for number, mask in enumerate(case.masks)]
    frame = golden_engine(case.info["checkpoint"]).encode_video(list(zip(case.images, regions, strict=True)))

    asked = ask(case, *words, case.question)
    assert asked["prompt_tokens"] == len(case.arrays["input_ids"]) - 1  # one BOS instead of two
    assert asked["token_ids"] == list(frame.ask(case.question, max_tokens=16).token_ids)
    assert ask(case, *words, "--describe")["token_ids"] == list(frame.describe(max_tokens=16).token_ids)

    named = ask(case, *words, "What does <Prompt0> do?", "--choices", "It rolls.,It stands.")
    assert named["answer"] in ("It rolls.", "It stands.")
    assert sum(named["probabilities"]) == pytest.approx(1)
