"""What the script behind docs/released_code.md compares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gar_ros.region import Region
from scripts import quirks


def picture() -> tuple[np.ndarray, list[np.ndarray]]:
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    masks = np.zeros((3, 120, 160), bool)
    masks[0, 10:50, 10:60] = masks[1, 60:110, 80:150] = masks[2, 5:90, 100:120] = True
    return image, list(masks)


@pytest.fixture(scope="module")
def usual(checkout: Path) -> quirks.Request:
    return quirks.request(checkout / "models/gar-tiny", *picture())


def test_without_an_oddity_it_is_the_engine_s_request(usual: quirks.Request) -> None:
    image, masks = picture()
    frame = usual.engine.encode(image, [Region.from_mask(str(n), mask) for n, mask in enumerate(masks)])
    answer = frame.ask(quirks.QUESTION, max_tokens=1)
    assert answer.token_ids == (int(usual.logits().argmax()),)
    assert answer.prompt_tokens == len(usual.prefix) + len(usual.engine.prompts.question(quirks.QUESTION, 3))


@pytest.mark.parametrize(
    ("name", "replay_moves"),
    [
        ("boxes as in convention 'released'", True),
        ("boxes that include their last pixel", True),
        ("the last region's box for all", True),
        ("two start tokens", False),
        ("regions named in the opposite order", False),
    ],
)
def test_each_oddity_moves_the_logits(usual: quirks.Request, name: str, replay_moves: bool) -> None:
    odd = dict(quirks.oddities(usual, (160, 120)))[name]
    assert not np.array_equal(odd.logits(), usual.logits())
    assert np.array_equal(odd.replay(), usual.replay()) != replay_moves


def test_the_last_box_leaves_the_last_region_alone(usual: quirks.Request) -> None:
    odd = dict(quirks.oddities(usual, (160, 120)))["the last region's box for all"]
    np.testing.assert_array_equal(odd.replay()[-1], usual.replay()[-1])


def test_naming_in_the_opposite_order_twice_changes_nothing(usual: quirks.Request) -> None:
    once = quirks.opposite(usual)
    assert once != usual.prefix
    assert quirks.opposite(replace(usual, prefix=once)) == usual.prefix


def test_a_table_is_printed(checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[10:40, 10:40] = 255
    cv2.imwrite(str(tmp_path / "image.png"), np.full((60, 80, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    paths = [str(checkout / "models/gar-tiny"), str(tmp_path / "image.png"), str(tmp_path / "mask.png")]
    assert quirks.main(paths) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("| 1 region(s), ")


def test_an_unreadable_picture_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quirks.main([str(tmp_path), str(tmp_path / "none.png"), str(tmp_path / "mask.png")]) == 2
    assert "none.png" in capsys.readouterr().err
