# SPDX-License-Identifier: Apache-2.0
"""Nothing grows with the ids, objects and pairs that there ever were; looked at are the sizes of all containers."""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import numpy as np
import pytest

from gar_ros.frame import Frame, Sighting
from gar_ros.geometry.extent import Extent
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.scene_graph import Relation
from gar_ros.memory.tracks import TrackMemory
from gar_ros.messages.markers import Markers, Placed
from gar_ros.region import Region

BOUND = 1100
"""Elements: more than any of the bounds below, far less than there are ids."""
IMAGES, IN_EACH = 1_000, 100


class Things:
    """Regions with one-time ids."""

    def __init__(self, first: int) -> None:
        self._ids = tuple(f"thing {first + one}" for one in range(IN_EACH))

    def ids(self) -> tuple[str, ...]:
        return self._ids

    def region(self, region_id: str) -> Region:
        raise NotImplementedError

    def sightings(self, boxes: bool) -> list[Sighting]:
        return [Sighting(one) for one in self._ids]


def containers(holder: object, depth: int = 6) -> Iterator[tuple[str, int]]:
    """Type and size of all containers that belong to an object."""
    if isinstance(holder, (dict, list, tuple, set, frozenset)):
        yield type(holder).__name__, len(holder)
        inner: list[object] = [*holder.values(), *holder] if isinstance(holder, dict) else list(holder)
    elif type(holder).__module__.startswith("gar_ros"):
        inner = list(getattr(holder, "__dict__", {}).values())
    else:
        return
    if depth:
        for one in inner[:BOUND]:
            yield from containers(one, depth - 1)


def largest(holder: object) -> int:
    return max(size for _, size in containers(holder))


def test_tracks_of_one_time_ids() -> None:
    memory = TrackMemory(DetectorIds(10**9, capacity=200), confirm_after=2, lost_ns=10**9, capacity=200, images=5)
    for image in range(IMAGES):
        memory.follow(Frame(image, "camera", (8, 2), lambda: np.zeros((2, 8, 3), np.uint8), Things(IN_EACH * image)))
    assert (memory.usage.tracks, memory.usage.ids) == (200, 200)
    assert largest(memory) <= 200
    assert len({id(track.frame) for track, _ in memory.tracks()}) <= 7, "the images kept, one in view, and none"


def test_markers_of_one_time_ids() -> None:
    markers = Markers(2.0, z_up=True)
    place = Extent("map", 1, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.1, 0.1, 0.1), 9)
    numbers: set[int] = set()
    for image in range(600):
        names = [f"{image}-{one}" for one in range(3)]
        relations = [Relation(names[0], "on top of", names[1], 0.9)]
        shown = markers.update([Placed(one, "", place) for one in names], relations).markers
        numbers |= {marker.id for marker in shown if marker.ns == "boxes" and marker.action == marker.ADD}
    assert len(numbers) == 1_800, "none is used again while an old marker may still be shown"
    assert max(numbers) < 2**31
    assert len(markers._numbers) <= BOUND
    assert len(markers._arrow_numbers) <= BOUND
    assert largest(markers) <= BOUND


def test_tracks_by_boxes() -> None:
    pytest.importorskip("similari", reason="similari-trackers-rs is not installed (no wheels for Python 3.13)")
    tracker = importlib.import_module("gar_ros.memory.similari").AssociatedIds(min_overlap=0.1, max_idle=2)
    issued: set[str] = set()
    for image in range(300):
        x = 40 * (image % 50)
        issued |= set(tracker.track_ids(image, [Sighting("", box=(x, 40 * y, x + 30, 40 * y + 30)) for y in range(5)]))
    assert len(issued) == 1_500
    assert tracker.known <= 5 * 4
    assert largest(tracker) <= 5 * 4
    assert sum(tracker._sort.shard_stats()) <= 5 * 4
    assert tracker._sort.wasted() == []
