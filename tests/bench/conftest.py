# SPDX-License-Identifier: Apache-2.0
"""Small annotation files with pictures, made for each test."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from gar_ros.cli.main import main

WIDTH, HEIGHT = 64, 48
"""Of the pictures, in pixels."""

RunGar = Callable[..., tuple[int, str, str]]


@pytest.fixture
def gar_tiny(checkout: Path) -> Path:
    """The shipped model."""
    return checkout / "models/gar-tiny"


@pytest.fixture
def run_gar(capsys: pytest.CaptureFixture[str]) -> RunGar:
    """`run_gar("bench", "score", file)` gives exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def squares(count: int) -> list[NDArray[np.uint8]]:
    """Masks (HEIGHT, WIDTH) of `count` squares beside each other."""
    masks = np.zeros((count, HEIGHT, WIDTH), np.uint8)
    for number, mask in enumerate(masks):
        mask[10:16, 6 * number + 1 : 6 * number + 6] = 1
    return list(masks)


def compressed(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """COCO's compressed RLE, as in the released annotations."""
    rle = coco.encode(np.asfortranarray(mask))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def save_picture(path: Path, seed: int = 0) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_items(folder: Path, regions: Sequence[int]) -> Path:
    """GAR-Bench-VQA.json in the released format, one item for each number of regions, and its pictures."""
    items = []
    for number, count in enumerate(regions):
        save_picture(folder / f"images/vqa_{number}.png", number)
        items.append(
            {
                "mask_rles": [compressed(mask) for mask in squares(count)],
                "question": "What colour is <Prompt0>?",
                "choices": ["A. red", "B. blue", "C. green"],
                "answer": "C",
                "type": "color" if number % 2 else "shape",
                "image": f"images/vqa_{number}.png",
            }
        )
    path = folder / "GAR-Bench-VQA.json"
    path.write_text(json.dumps(items))
    return path


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]]) -> Path:
    """A real mp4 of RGB frames (HEIGHT, WIDTH, 3)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path
