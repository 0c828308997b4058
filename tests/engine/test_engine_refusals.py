# SPDX-License-Identifier: Apache-2.0
"""What the engine refuses: images, regions and questions that can't be asked, each with what was expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode
from gar_ros.region import Region
from tests.engine.scene import COLOUR, HEIGHT, SIDE, WIDTH, refused


@pytest.mark.parametrize(
    ("image", "came"),
    [
        (np.zeros((4, 4), np.uint8), "uint8 (4, 4)"),
        (np.zeros((4, 4, 4), np.uint8), "uint8 (4, 4, 4)"),
        (np.zeros((4, 4, 3), np.float32), "float32 (4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "uint8 (0, 4, 3)"),
        ("picture.png", "str"),
    ],
)
def test_images_of_another_kind(engine: GarEngine, image: Any, came: str) -> None:
    region = Region.from_box("a", (0, 0, 4, 4), (4, 4))
    with refused(ErrorCode.INVALID_REQUEST, "expected an RGB image (H, W, 3) uint8, got", came):
        engine.encode(image, [region])


def test_regions_that_do_not_fit(engine: GarEngine, image: np.ndarray) -> None:
    many = [Region.from_box(str(n), (n, 0, n + 1, 1), (WIDTH, HEIGHT)) for n in range(6)]
    with refused(ErrorCode.TOO_MANY_REGIONS, "at most 5", "got 6"):
        engine.encode(image, many)
    with refused(ErrorCode.INVALID_REQUEST, "at least one region"):
        engine.encode(image, [])
    with refused(ErrorCode.INVALID_REQUEST, "64x48 px", "got 48x64 px"):
        engine.encode(image, [Region.from_box("a", (0, 0, 4, 4), (HEIGHT, WIDTH))])


@pytest.mark.parametrize("max_tiles", [0, -1, 17])
def test_numbers_of_tiles_the_model_does_not_have(
    engine: GarEngine, image: np.ndarray, regions: list[Region], max_tiles: int
) -> None:
    with refused(ErrorCode.INVALID_REQUEST, "max_tiles in 1..16", f"got {max_tiles}"):
        engine.encode(image, regions, max_tiles=max_tiles)


@pytest.mark.parametrize("choices", [["yes"], ["yes", ""], ["yes", " "], ["yes", "yes "], ["a", "b", "a"]])
def test_choices_that_are_none(frame: EncodedFrame, choices: list[str]) -> None:
    with refused(ErrorCode.INVALID_REQUEST, "at least two different, non-empty choices"):
        frame.ask(SIDE, choices)


def test_questions_that_are_none(frame: EncodedFrame) -> None:
    with refused(ErrorCode.INVALID_REQUEST, "expected a question"):
        frame.ask(" ")
    with refused(ErrorCode.PROMPT_WITHOUT_REGION, "<Prompt2>", "got 2 region"):
        frame.ask("What is <Prompt2>?")
    with refused(ErrorCode.PROMPT_WITHOUT_REGION, "<Prompt3>"):
        frame.ask(SIDE, ["<Prompt0>", "<Prompt3>"])
    with refused(ErrorCode.INVALID_REQUEST, "max_tokens of at least 1, got 0"):
        frame.ask(COLOUR, max_tokens=0)
    with refused(ErrorCode.INVALID_REQUEST, "one region to describe", "got 2"):
        frame.describe()


def test_a_question_beyond_the_context_says_what_fits(frame: EncodedFrame, engine: GarEngine) -> None:
    prefix = len(engine.prompts.prefix("question", 2, 2))
    room = engine.manifest.sizes.max_positions - prefix - 64
    with refused(ErrorCode.QUESTION_TOO_LONG, f"at most {room} tokens, got "):
        frame.ask("a " * 20_000, max_tokens=64)


def test_videos_that_cannot_be_asked(engine: GarEngine, image: np.ndarray, regions: list[Region]) -> None:
    before = engine.encoder.encoded_tiles
    with refused(ErrorCode.INVALID_REQUEST, "1 to 5 frames", "got 0"):
        engine.encode_video([])
    with refused(ErrorCode.INVALID_REQUEST, "1 to 5 frames", "got 6"):
        engine.encode_video([(image, regions[0])] * 6)
    with refused(ErrorCode.INVALID_REQUEST, "got 64x48 px"):
        engine.encode_video([(image, regions[0]), (image[:, :40], regions[1])])
    with refused(ErrorCode.INVALID_REQUEST, "expected an RGB image (H, W, 3) uint8, got uint8 (48, 64)"):
        engine.encode_video([(image[..., 0], regions[0])])
    assert engine.encoder.encoded_tiles == before


def test_a_question_for_another_number_of_regions_is_a_mistake_of_the_caller(
    frame: EncodedFrame, engine: GarEngine
) -> None:
    with pytest.raises(ValueError, match=r"expected a question about 2 region\(s\), got one about 1"):
        frame.ask(engine.prompts.parse("What is <Prompt0>?", (), 1))
