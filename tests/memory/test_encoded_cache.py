# SPDX-License-Identifier: Apache-2.0
"""The memory of encoded frames: what shares an encoding and what does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.engine import GarEngine
from gar_ros.frame import Frame
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.region import Region


class CountingEngine:
    """Stands for GarEngine: every encoding is a new number."""

    def __init__(self) -> None:
        self.encodings = 0

    def encode(
        self,
        image: NDArray[np.uint8],
        regions: Sequence[Region],
        max_tiles: int,
        raise_if_cancelled: Callable[[], None],
    ) -> Any:
        self.encodings += 1
        return self.encodings


def memory_of(capacity: int) -> EncodedMemory:
    return EncodedMemory(cast(GarEngine, CountingEngine()), capacity)


@cache
def frame_at(stamp_ns: int, frame_id: str = "camera") -> Frame:
    return Frame(stamp_ns, frame_id, (4, 4), lambda: np.zeros((4, 4, 3), np.uint8))


def region(name: str, column: int) -> Region:
    return Region.from_box(name, (column, 0, column + 1, 2), (4, 4))


def get(memory: EncodedMemory, frame: Frame, *regions: Region, max_tiles: int = 4) -> Any:
    return memory.get(frame, regions, max_tiles, lambda: None)


def test_the_same_regions_of_the_same_frame_are_encoded_once() -> None:
    memory = memory_of(2)
    first = get(memory, frame_at(1), region("a", 0), region("b", 1))
    assert get(memory, frame_at(1), region("a", 0), region("b", 1)) == first


def test_another_picture_under_the_same_stamp_is_encoded_anew() -> None:
    """A simulator that was reset repeats its stamps. Nobody looks at the pixels: every message is another image."""
    memory = memory_of(2)
    other = Frame(1, "camera", (4, 4), lambda: np.full((4, 4, 3), 9, np.uint8))
    assert get(memory, frame_at(1), region("a", 0)) != get(memory, other, region("a", 0))


def test_a_frame_is_the_same_image_with_other_regions() -> None:
    frame = frame_at(1)
    assert replace(frame, regions=None).number == frame.number != frame_at(2).number


def test_ids_do_not_matter_but_pixels_order_stamp_camera_and_tiles_do() -> None:
    memory = memory_of(10)
    first = get(memory, frame_at(1), region("a", 0), region("b", 1))
    assert get(memory, frame_at(1), region("x", 0), region("y", 1)) == first
    others = [
        get(memory, frame_at(1), region("a", 0), region("b", 2)),
        get(memory, frame_at(1), region("b", 1), region("a", 0)),
        get(memory, frame_at(2), region("a", 0), region("b", 1)),
        get(memory, frame_at(1, "other camera"), region("a", 0), region("b", 1)),
        get(memory, frame_at(1), region("a", 0), region("b", 1), max_tiles=2),
    ]
    assert others == [2, 3, 4, 5, 6]


def test_masks_with_the_same_box_are_told_apart() -> None:
    diagonal, other = np.eye(4, dtype=bool), np.eye(4, dtype=bool)[::-1]
    memory = memory_of(10)
    first = get(memory, frame_at(1), Region.from_mask("a", diagonal))
    assert get(memory, frame_at(1), Region.from_mask("a", other)) != first


def test_the_least_recently_used_is_forgotten() -> None:
    memory = memory_of(2)
    first, second = get(memory, frame_at(1), region("a", 0)), get(memory, frame_at(2), region("a", 0))
    assert get(memory, frame_at(1), region("a", 0)) == first
    get(memory, frame_at(3), region("a", 0))
    assert get(memory, frame_at(1), region("a", 0)) == first
    assert get(memory, frame_at(2), region("a", 0)) != second
