# SPDX-License-Identifier: Apache-2.0
"""What the script behind docs/released_code.md compares, held to what the released code itself computed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tokenizers import Tokenizer

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.region import Region
from tests.engine.golden import GoldenCase
from tests.fixtures_export import OpenEngine
from tests.fixtures_golden import FindCase
from tools.quirks import parts, tabletop
from tools.quirks.__main__ import QUESTION, main
from tools.quirks.picture import effects, replay_range
from tools.quirks.request import Request, oddities, opposite, usual_request

SIZE = (160, 120)  # width, height
CHOICES = ("red", "blue")
THREE = "cases/three_prompts"


def picture() -> tuple[np.ndarray, list[np.ndarray]]:
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    masks = np.zeros((3, 120, 160), bool)
    masks[0, 10:50, 10:60] = masks[1, 60:110, 80:150] = masks[2, 5:90, 100:120] = True
    return image, list(masks)


@pytest.fixture(scope="module")
def usual() -> Request:
    return usual_request(GarEngine.open(default_model_dir(), "cpu", threads=1), *picture())


def test_without_an_oddity_it_is_the_engines_request(usual: Request) -> None:
    image, masks = picture()
    frame = usual.engine.encode(image, [Region.from_mask(str(n), mask) for n, mask in enumerate(masks)])
    answer = frame.ask(QUESTION, max_tokens=4)
    assert answer.token_ids == usual.write(QUESTION, 4)
    assert answer.prompt_tokens == usual.ask(QUESTION)[0].length
    assert frame.ask(QUESTION, CHOICES).text == usual.choose(QUESTION, CHOICES)


@pytest.mark.parametrize(
    ("name", "replay_moves"),
    [
        ("boxes scaled twice", True),
        ("boxes that include their last pixel", True),
        ("the last region's box for all", True),
        ("two start tokens", False),
        ("regions named in the opposite order", False),
    ],
)
def test_each_oddity_moves_the_logits(usual: Request, name: str, replay_moves: bool) -> None:
    odd = dict(oddities(usual, SIZE))[name]
    assert not np.array_equal(odd.ask(QUESTION)[1].logits(), usual.ask(QUESTION)[1].logits())
    assert np.array_equal(odd.replay, usual.replay) != replay_moves


def test_the_last_box_leaves_the_last_region_alone(usual: Request) -> None:
    odd = dict(oddities(usual, SIZE))["the last region's box for all"]
    np.testing.assert_array_equal(odd.replay[-1], usual.replay[-1])


def test_naming_in_the_opposite_order_twice_changes_nothing(usual: Request) -> None:
    once = opposite(usual)
    assert once != usual.prefix
    assert opposite(replace(usual, prefix=once)) == usual.prefix


def golden_request(engine: GarEngine, case: GoldenCase) -> Request:
    return usual_request(engine, case.images[0], case.masks, case.info["max_num_tiles"])


def between(case: GoldenCase, array: str, one: str, other: str) -> float:
    """Largest difference between two ways in which the released code was run; of logits, at the first token."""
    first, second = (case.arrays[case.variants[name].key(array)] for name in (one, other))
    return float(np.abs(first - second)[0 if array == "logits_steps" else slice(None)].max())


def common_start(one: Sequence[int], other: Sequence[int]) -> int:
    return next(place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)


@pytest.mark.parametrize(
    ("name", "with_it", "without"),
    [
        ("the last region's box for all", "single_bos", "per_mask_bbox_single_bos"),
        ("two start tokens", "per_mask_bbox", "per_mask_bbox_single_bos"),
    ],
)
def test_effects_are_those_of_the_released_code(
    golden_case: FindCase, golden_engine: OpenEngine, name: str, with_it: str, without: str
) -> None:
    case = golden_case(THREE)
    usual = golden_request(golden_engine(case.info["checkpoint"]), case)
    size = (case.images[0].shape[1], case.images[0].shape[0])
    found = {one.name: one for one in effects(usual, size, case.question, 16)}[name]
    assert found.logits == pytest.approx(between(case, "logits_steps", with_it, without), abs=1e-3)
    ids = [case.variants[variant].generated_ids for variant in (with_it, without)]
    assert (found.same, found.tokens) == (common_start(*ids), 16)


def test_scaling_once_moves_what_it_moves_in_the_released_code(
    golden_case: FindCase, golden_engine: OpenEngine
) -> None:
    """The released code ran that with two start tokens."""
    case = golden_case(THREE)
    usual = golden_request(golden_engine(case.info["checkpoint"]), case)
    two = replace(usual, prefix=(usual.prefix[0], *usual.prefix))
    once = replace(two, convention="correct")
    logits = [request.ask(case.question)[1].logits() for request in (once, two)]
    moved = np.abs(logits[0] - logits[1]).max()
    assert moved == pytest.approx(between(case, "logits_steps", "per_mask_bbox_correct_roi", "per_mask_bbox"), abs=1e-3)


def test_on_one_tile_scaling_twice_gives_every_region_the_same_replay(
    golden_case: FindCase, golden_engine: OpenEngine
) -> None:
    case = golden_case("cases/one_tile")
    usual = golden_request(golden_engine(case.info["checkpoint"]), case)
    assert replay_range(usual) == (0, 0)
    two = usual_request(usual.engine, case.images[0], [*case.masks, ~case.masks[0]], max_tiles=1)
    within, between_regions = replay_range(replace(two, convention="correct"))
    assert within > 1
    assert between_regions > 1


def test_a_box_around_everything_reads_the_corner() -> None:
    """64 cells: 64 / 28 = 2.29 long, 16 bins, the last one's middle half a cell back: 2.29 * 31 / 32 - 0.5."""
    (left, right), (top, bottom) = parts.cells_read((4, 4), 16, "released")
    assert (left, right) == (top, bottom)
    assert left < 0.1
    assert right == pytest.approx(64 / 28 * 31 / 32 - 0.5, abs=1e-3)
    across, down = parts.cells_read((2, 1), 16, "correct")
    assert across[1] > 30
    assert 14 < down[1] < 16


def test_a_sets_order_depends_on_the_hash_seed() -> None:
    assert parts.set_orders(1) == 1
    assert parts.set_orders(8) > 1


def test_prompts_vanish_when_special_tokens_are_skipped() -> None:
    tokenizer = Tokenizer.from_file(str(default_model_dir() / "tokenizer.json"))
    assert "Prompt" not in parts.without_special_tokens(tokenizer, "<Prompt0>")


def test_pillows_resize_of_noise_is_another() -> None:
    assert parts.pillow_levels(picture()[0], (1, 1), 192) > 1
    assert parts.pillow_levels(np.full((5, 7, 3), 90, np.uint8), (2, 1), 16) == 0


def test_the_usual_request_changes_none_of_its_own_answers(usual: Request) -> None:
    scores = tabletop.scores(usual.engine, scenes=1)
    assert list(scores) == [tabletop.USUAL, *(name for name, _ in oddities(usual, SIZE))]
    assert scores[tabletop.USUAL].changed == 0
    assert all(0 <= one.right <= one.asked and 0 <= one.changed <= one.asked for one in scores.values())
    assert {one.asked for one in scores.values()} == {scores[tabletop.USUAL].asked}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 10:40] = 255
    Image.new("RGB", (80, 60), (90, 90, 90)).save(tmp_path / "image.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return ["--image", str(tmp_path / "image.png"), "--mask", str(tmp_path / "mask.png")]


def test_a_table_is_printed(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(default_model_dir()), *files, "--max-tiles", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| 1 region(s), 1 × 1 tiles |")
    assert [line.split("|")[1].strip() for line in lines[2:5]] == [
        "boxes scaled twice",
        "boxes that include their last pixel",
        "two start tokens",
    ]


def test_an_unreadable_picture_is_named(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(default_model_dir()), "--image", "none.png", *files[2:]]) == 2
    assert "none.png" in capsys.readouterr().err


def test_the_page_has_the_numbers_of_the_golden_case(
    golden_case: FindCase, golden_engine: OpenEngine, checkout: Path
) -> None:
    case = golden_case(THREE)
    usual = golden_request(golden_engine(case.info["checkpoint"]), case)
    size = (case.images[0].shape[1], case.images[0].shape[0])
    page = (checkout / "docs/released_code.md").read_text()
    for one in effects(usual, size, case.question, 16):
        row = re.search(rf"^\| {one.name} \| (\S+) \| (\S+) \| (\d+) of (\d+) tokens \|", page, re.MULTILINE)
        assert row is not None, f"docs/released_code.md has no row '{one.name}'"
        replay, logits, same, tokens = map(float, row.groups())
        assert (replay, logits) == pytest.approx((one.replay, one.logits), rel=0.1)
        assert (same, tokens) == (one.same, one.tokens)
