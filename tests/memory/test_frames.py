# SPDX-License-Identifier: Apache-2.0
"""The memory of frames: newest, by stamp, bounded, and immutable frames."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.frame import Frame, Sighting
from gar_ros.memory.frames import FrameMemory
from gar_ros.region import Region


class TwoRegions:
    """Regions "a" and "b" (see RegionSource)."""

    def ids(self) -> tuple[str, ...]:
        return ("a", "b")

    def region(self, region_id: str) -> Region:
        return Region.from_mask(region_id, np.ones((2, 3), bool))

    def sightings(self, boxes: bool) -> list[Sighting]:
        return [Sighting(name) for name in self.ids()]


def image_at(stamp_ns: int) -> Frame:
    return Frame(stamp_ns, "camera", (3, 2), lambda: np.zeros((2, 3, 3), np.uint8))


def pair_at(stamp_ns: int) -> Frame:
    return Frame(stamp_ns, "camera", (3, 2), lambda: np.zeros((2, 3, 3), np.uint8), TwoRegions())


def test_newest_pair_is_the_last_pair_even_when_later_images_have_no_regions_yet() -> None:
    memory = FrameMemory(4)
    for frame in (image_at(10), pair_at(10), image_at(20)):
        memory.add(frame)
    pair, image = memory.newest(with_regions=True), memory.newest(with_regions=False)
    assert pair is not None
    assert pair.stamp_ns == 10
    assert image is not None
    assert image.stamp_ns == 20


def test_newest_image_comes_with_its_regions_once_they_have_arrived() -> None:
    memory = FrameMemory(4)
    memory.add(image_at(10))
    memory.add(pair_at(10))
    image = memory.newest(with_regions=False)
    assert image is not None
    assert image.regions is not None


def test_newest_is_by_arrival_so_that_a_clock_that_went_back_does_not_freeze_it() -> None:
    memory = FrameMemory(4)
    memory.add(pair_at(500))
    memory.add(pair_at(3))
    newest = memory.newest(with_regions=True)
    assert newest is not None
    assert newest.stamp_ns == 3


def test_only_the_newest_frames_of_each_kind_are_kept() -> None:
    memory = FrameMemory(2)
    for stamp in (1, 2, 3):
        memory.add(image_at(stamp))
    memory.add(pair_at(1))
    assert memory.stamps(with_regions=False) == [3, 2, 1]
    assert memory.stamps(with_regions=True) == [1]
    memory.add(pair_at(2))
    memory.add(pair_at(3))
    assert memory.stamps(with_regions=True) == [3, 2]
    assert memory.at(1, with_regions=False) is None


def test_a_frame_that_was_used_outlives_those_nobody_asked_about() -> None:
    memory = FrameMemory(2)
    used = pair_at(1)
    memory.add(used)
    memory.hold(used)
    for stamp in (2, 3, 4):
        memory.add(pair_at(stamp))
    assert memory.at(1, with_regions=True) is used
    assert memory.at(2, with_regions=True) is None


def test_a_frame_of_the_same_stamp_replaces_the_earlier_one() -> None:
    memory = FrameMemory(3)
    later = pair_at(1)
    memory.add(pair_at(1))
    memory.add(later)
    assert memory.at(1, with_regions=True) is later
    assert memory.stamps(with_regions=True) == [1]


def test_cleared_memory_is_empty() -> None:
    memory = FrameMemory(3)
    memory.add(pair_at(1))
    memory.clear()
    assert memory.newest(with_regions=True) is None
    assert memory.stamps(with_regions=False) == []


def test_pixels_are_converted_once_and_can_not_be_written() -> None:
    calls = []

    def load() -> NDArray[np.uint8]:
        calls.append("load")
        return np.zeros((2, 3, 3), np.uint8)

    frame = Frame(1, "camera", (3, 2), load)
    assert calls == []
    assert frame.image is frame.image
    assert calls == ["load"]
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0, 0] = 1
