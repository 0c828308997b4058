# SPDX-License-Identifier: Apache-2.0
"""Real photographs with masks, published as a camera and a detector would, at their own sizes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as pycocotools_mask
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import image_message
from gar_ros.messages.regions import region_array_message
from gar_ros.region import Region
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, refusal, wait_until


class Photograph(NamedTuple):
    """pixels: (H, W, 3 or 4) uint8, as in the file. masks: bool (H, W) each."""

    pixels: NDArray[np.uint8]
    masks: list[NDArray[np.bool_]]
    question: str
    choices: list[str]


def benchmark(shared: Path) -> list[Photograph]:
    """The subset of GAR-Bench-VQA."""
    folder = shared / "gar_bench"
    return [
        Photograph(
            np.array(Image.open(folder / item["image"])),
            [pycocotools_mask.decode(rle).astype(bool) for rle in item["mask_rles"]],
            item["question"],
            item["choices"],
        )
        for item in json.loads((folder / "vqa_subset.json").read_text())
    ]


def demo(shared: Path) -> Photograph:
    """The picture with an alpha channel, and its mask."""
    folder = shared / "gar_bench/demo"
    mask = np.array(Image.open(folder / "demo_mask_1.png").convert("L")) != 0
    pixels = np.array(Image.open(folder / "demo_image_1.png"))
    return Photograph(pixels, [mask], "What is <Prompt0>?", ["a toy", "a person"])


def scene(photograph: Photograph, name: str) -> Any:
    """The photograph and a RegionArray of its masks, which may overlap; ids are `name` with a number."""
    height, width, channels = photograph.pixels.shape
    regions = [Region.from_mask(f"{name}.{number}", mask) for number, mask in enumerate(photograph.masks)]

    def messages(header: Header) -> list[tuple[str, Any]]:
        image = image_message(photograph.pixels, {3: "rgb8", 4: "rgba8"}[channels], header)
        return [("image", image), ("regions", region_array_message(regions, (width, height), header))]

    return messages


def label_scene(photograph: Photograph, first: int) -> Any:
    """The photograph in OpenCV's channel order and a mono16 label image of its masks, counted from `first`."""
    labels = np.zeros(photograph.masks[0].shape, np.uint16)
    for number, mask in enumerate(photograph.masks):
        labels[mask] = first + number

    def messages(header: Header) -> list[tuple[str, Any]]:
        image = image_message(np.ascontiguousarray(photograph.pixels[:, :, ::-1]), "bgr8", header)
        return [("image", image), ("instances", image_message(labels, "mono16", header))]

    return messages


def check_answer(robot: Robot, photograph: Photograph, ids: list[str], size: tuple[int, int]) -> None:
    """Lists exactly `ids`, within the image of this size, and asks about them all."""
    known: list[str] = []

    def is_listed() -> bool:
        nonlocal known
        try:
            known = [region.id for region in robot.client.list_regions().regions]
        except Exception as error:  # noqa: BLE001 shown when it stays so
            known = [str(error)]
        return known == ids

    wait_until(is_listed, lambda: f"{ids}, got {known}")
    listed = robot.client.list_regions()
    for region in listed.regions:
        assert region.box.x_offset + region.box.width <= size[0]
        assert region.box.y_offset + region.box.height <= size[1]

    ask = lambda: robot.client.query(  # noqa: E731
        photograph.question, ids, choices=photograph.choices, stamp=listed.header.stamp, timeout=PATIENCE
    )
    if len(ids) > 5:
        assert refusal(ask)[0] is ErrorCode.TOO_MANY_REGIONS
        return
    answer = ask()
    assert answer.header.stamp == listed.header.stamp
    assert stamp_ns(answer.header.stamp) > 0
    assert answer.region_ids == ids
    assert answer.text == photograph.choices[answer.choice].strip()
    assert len(answer.probabilities) == len(photograph.choices)
    assert sum(answer.probabilities) == pytest.approx(1.0, abs=1e-4)
    assert answer.confidence == pytest.approx(max(answer.probabilities))
    assert answer.prompt_tokens > 0


def test_every_photograph_is_answered(robot: Robot, gar: GarStarter, shared: Path) -> None:
    gar(**{"request.max_tiles": 2, "input.reliability": "reliable"})
    photographs = [*benchmark(shared), demo(shared)]
    assert {photograph.pixels.shape[2] for photograph in photographs} == {3, 4}
    for number, photograph in enumerate(photographs):
        ids = [f"{number}.{region}" for region in range(len(photograph.masks))]
        height, width = photograph.pixels.shape[:2]
        with robot.publishing(scene(photograph, str(number))):
            check_answer(robot, photograph, ids, (width, height))


def test_photographs_with_label_images_of_any_size_are_answered(robot: Robot, gar: GarStarter, shared: Path) -> None:
    gar(**{"request.max_tiles": 2, "input.reliability": "reliable"})
    apart = [photograph for photograph in benchmark(shared) if np.sum(photograph.masks, axis=0).max() == 1]
    assert len(apart) > 4
    for number, photograph in enumerate(apart[::4]):
        first = 1000 * (number + 1)
        ids = [str(first + region) for region in range(len(photograph.masks))]
        height, width = photograph.pixels.shape[:2]
        with robot.publishing(label_scene(photograph, first)):
            check_answer(robot, photograph, ids, (width, height))
