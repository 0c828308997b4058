# SPDX-License-Identifier: Apache-2.0
"""Features of keyframes: what is found again, and what leaves first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.encoded_frame import SharedPrefix
from gar_ros.engine.engine import EncodedImage, GarEngine
from gar_ros.engine.kv_cache import KvCache
from gar_ros.frame import Frame, Sighting
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.keyframes import Bounds, KeyframeMemory
from gar_ros.region import Region

SECOND = 1_000_000_000
IMAGE_BYTES, REPLAY_BYTES = 64, 16
MANY = Bounds(per_track=100, total_bytes=10**6, age_ns=1000 * SECOND)


@dataclass
class Recalled:
    """What stands for an EncodedFrame."""

    regions: tuple[Region, ...]
    image: int
    replays: tuple[int, ...]
    shared: Any = None


class NumberedEngine:
    """Stands for GarEngine: the features of the n-th pass are n, a region's replay is n * 100 + its place."""

    def __init__(self) -> None:
        self.passes = 0

    def encode_image(
        self,
        image: NDArray[np.uint8],
        regions: Sequence[Region],
        max_tiles: int,
        raise_if_cancelled: Callable[[], None],
    ) -> EncodedImage:
        self.passes += 1
        numbers = 100 * self.passes + np.arange(len(regions))
        replay = np.repeat(numbers, 4).reshape(-1, 4, 1).astype(np.float32)
        return EncodedImage(np.full((1, 16, 1), self.passes, np.float32), replay, {})

    def from_features(
        self, features: Any, regions: Sequence[Region], replays: Sequence[Any], shared: SharedPrefix
    ) -> Recalled:
        return Recalled(tuple(regions), int(features[0, 0, 0]), tuple(int(one[0, 0, 0]) for one in replays), shared)

    def encode(self, image: Any, regions: Sequence[Region], max_tiles: int, raise_if_cancelled: Any) -> Recalled:
        self.passes += 1
        return Recalled(tuple(regions), self.passes, ())

    def join(self, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(parts)


@cache
def frame(second: float) -> Frame:
    return Frame(round(second * SECOND), "camera", (8, 4), lambda: np.zeros((4, 8, 3), np.uint8))


def regions(names: str) -> list[Region]:
    return [Region.from_box(name, (ord(name) - 97, 0, ord(name) - 96, 2), (8, 4)) for name in names]


def memory_of(bounds: Bounds = MANY) -> tuple[KeyframeMemory, NumberedEngine]:
    engine = NumberedEngine()
    return KeyframeMemory(cast(GarEngine, engine), bounds), engine


def add(memory: KeyframeMemory, second: float, names: str) -> None:
    memory.add(frame(second), regions(names), 4, lambda: None)


def find(memory: KeyframeMemory, second: float, names: str) -> Any:
    return memory.find(frame(second), regions(names), 4)


def test_any_regions_of_a_keyframe_are_found_in_any_order() -> None:
    memory, engine = memory_of()
    add(memory, 1, "abc")
    found = find(memory, 1, "ca")
    assert (found.image, found.replays) == (1, (102, 100))
    assert [region.id for region in found.regions] == ["c", "a"]
    assert engine.passes == 1


def test_other_images_regions_and_masks_are_not_found() -> None:
    memory, _ = memory_of()
    add(memory, 1, "ab")
    moved = Region.from_box("a", (3, 0, 4, 2), (8, 4))
    assert find(memory, 2, "a") is None
    assert find(memory, 1, "c") is None
    assert memory.find(frame(1), [moved], 4) is None
    assert memory.find(frame(1), regions("a"), 2) is None
    same_stamp = Frame(SECOND, "camera", (8, 4), lambda: np.ones((4, 8, 3), np.uint8))
    assert memory.find(same_stamp, regions("a"), 4) is None


def test_each_region_keeps_its_most_asked_and_its_last_features() -> None:
    memory, _ = memory_of(Bounds(per_track=2, total_bytes=10**6, age_ns=1000 * SECOND))
    add(memory, 1, "a")
    add(memory, 2, "ab")
    assert find(memory, 1, "a")
    add(memory, 3, "a")
    assert find(memory, 1, "a") and find(memory, 3, "a")
    assert find(memory, 2, "a") is None
    assert find(memory, 2, "b"), "another region's features of the same keyframe stay"


def test_bytes_are_bounded_and_counted() -> None:
    one = IMAGE_BYTES + 2 * REPLAY_BYTES
    memory, _ = memory_of(Bounds(per_track=100, total_bytes=2 * one, age_ns=1000 * SECOND))
    for second in (1, 2, 3):
        add(memory, second, "ab")
    usage = memory.usage
    assert (usage.keyframes, usage.tracks, usage.features, usage.bytes) == (2, 2, 4, 2 * one)
    assert find(memory, 1, "ab") is None


def test_a_keyframe_larger_than_the_memory_is_kept_alone() -> None:
    memory, _ = memory_of(Bounds(per_track=100, total_bytes=1, age_ns=1000 * SECOND))
    add(memory, 1, "a")
    add(memory, 2, "b")
    assert find(memory, 2, "b")
    assert memory.usage.keyframes == 1


class Detected:
    """The regions that a detector found in an image."""

    def __init__(self, names: str) -> None:
        self._regions = {region.id: region for region in regions(names)}

    def ids(self) -> tuple[str, ...]:
        return tuple(self._regions)

    def region(self, region_id: str) -> Region:
        return self._regions[region_id]

    def sightings(self, boxes: bool) -> list[Sighting]:
        return [Sighting(region_id) for region_id in self._regions]


def test_keyframes_far_in_time_leave_also_when_stamps_go_back() -> None:
    memory, _ = memory_of(Bounds(per_track=100, total_bytes=10**6, age_ns=10 * SECOND))
    add(memory, 100, "a")
    add(memory, 111, "a")
    assert find(memory, 100, "a") is None
    add(memory, 5, "a")
    assert find(memory, 111, "a") is None and find(memory, 5, "a")


def test_a_question_without_keyframe_makes_one_and_ad_hoc_regions_are_encoded_alone() -> None:
    memory, engine = memory_of()
    encoded = EncodedMemory(cast(GarEngine, engine), 10, memory)
    detected = replace(frame(1), regions=Detected("abc"))

    def get(names: str) -> Any:
        return encoded.get(detected, regions(names), 4, lambda: None)

    assert get("a").replays == (100,) and get("bc").replays == (101, 102)
    assert engine.passes == 1
    assert get("ad").replays == ()
    assert engine.passes == 2


def test_kv_caches_that_frames_share_are_counted_and_go_before_features() -> None:
    memory, _ = memory_of()
    for second in (1, 2):
        add(memory, second, "ab")
        find(memory, second, "a").shared.cache = KvCache(5, {"past_key_values.0.key": np.zeros(5, np.float32)})
    features = 2 * (IMAGE_BYTES + 2 * REPLAY_BYTES)
    assert memory.nbytes == features + 2 * 5 * 4
    sizes = [memory.nbytes for _ in range(2) if memory.forget_one()]
    assert sizes == [features + 5 * 4, features + 5 * 4 - REPLAY_BYTES]
    assert find(memory, 2, "b").shared.cache.length == 5
