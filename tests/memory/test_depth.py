# SPDX-License-Identifier: Apache-2.0
"""Which depth measurement a frame's regions are looked up in."""

from __future__ import annotations

import math
import re
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.geometry.extent import Pose
from gar_ros.geometry.surface import CloudSurface
from gar_ros.memory.depth import DepthMemory
from gar_ros.region import Region

MS = 1_000_000
PATIENCE = 60.0  # seconds
FRAME = Frame(100 * MS, "camera", (10, 10), lambda: np.zeros((10, 10, 3), np.uint8))
REGION = Region.from_box("all", (0, 0, 10, 10), (10, 10))


def plane(stamp_ns: int, z: float, size: int = 10) -> CloudSurface:
    return CloudSurface(stamp_ns, "lens", lambda: np.full((size, size, 3), (0.0, 0.0, z), np.float32))


def test_the_nearest_measurement_within_the_slop_counts() -> None:
    depth = DepthMemory(10, slop_ns=5 * MS)
    for offset, z in ((-6, 1.0), (4, 2.0), (-3, 3.0)):
        depth.add(plane((100 + offset) * MS, z))
    extent = depth.extents(FRAME, [REGION])[0]
    assert extent.centroid == (0.0, 0.0, 3.0)
    assert extent.stamp_ns == 97 * MS
    assert extent.frame_id == "lens"


def test_without_a_measurement_near_enough_the_place_is_unknown() -> None:
    depth = DepthMemory(10, slop_ns=5 * MS)
    depth.add(plane(94 * MS, 1.0))
    extent = depth.extents(FRAME, [REGION])[0]
    assert (extent.known, extent.frame_id, extent.stamp_ns) == (False, "camera", 100 * MS)
    assert math.isnan(extent.centroid[0])
    assert "the newest depth is 0.006 s older than the image" in depth.trouble


def test_the_oldest_measurement_leaves() -> None:
    depth = DepthMemory(2, slop_ns=0)
    for stamp in (100, 101, 102):
        depth.add(plane(stamp * MS, 1.0))
    assert depth.surface(FRAME) is None


def test_a_measurement_that_was_used_outlives_newer_ones() -> None:
    depth = DepthMemory(2, slop_ns=0)
    depth.add(plane(100 * MS, 1.0))
    assert depth.surface(FRAME) is not None
    for stamp in (101, 102):
        depth.add(plane(stamp * MS, 2.0))
    assert depth.extents(FRAME, [REGION])[0].centroid == (0.0, 0.0, 1.0)


def test_after_clear_nothing_is_known() -> None:
    depth = DepthMemory(2, slop_ns=0)
    depth.add(plane(100 * MS, 1.0))
    depth.clear()
    assert not depth.extents(FRAME, [REGION])[0].known


def test_depth_of_another_view_is_no_place_and_says_why() -> None:
    depth = DepthMemory(2, slop_ns=0)
    depth.add(CloudSurface(100 * MS, "lens", lambda: np.zeros((4, 9, 3), np.float32)))
    assert not depth.extents(FRAME, [REGION])[0].known
    assert "expected depth registered to the image of 10x10 px, got 9x4 px" in depth.trouble
    surface = depth.surface(FRAME)
    assert surface is not None
    assert depth.points(surface, REGION).shape == (0, 3)


def test_places_are_given_in_the_frame_that_was_asked_for() -> None:
    up = Pose("base", np.eye(3), np.array([0.0, 0.0, 1.0]))
    depth = DepthMemory(2, 0, lambda frame_id, stamp_ns: up if (frame_id, stamp_ns) == ("lens", 100 * MS) else None)
    depth.add(plane(100 * MS, 2.0))
    extent = depth.extents(FRAME, [REGION])[0]
    assert (extent.frame_id, extent.centroid) == ("base", (0.0, 0.0, 3.0))


def test_a_missing_transformation_makes_the_place_unknown() -> None:
    def fail(frame_id: str, stamp_ns: int) -> Pose:
        raise GarError(ErrorCode.NO_FRAME, f"no way from {frame_id}")

    depth = DepthMemory(2, 0, fail)
    depth.add(plane(100 * MS, 2.0))
    assert not depth.extents(FRAME, [REGION])[0].known
    assert depth.trouble == "no way from lens"


@pytest.mark.parametrize("known", [True, False])
def test_trouble_ends_when_a_place_is_known_again(known: bool) -> None:
    depth = DepthMemory(1, 0)
    depth.trouble = "earlier"
    if known:
        depth.add(plane(100 * MS, 2.0))
    depth.extents(FRAME, [REGION])
    assert depth.trouble == ("" if known else "earlier")


class Told:
    """What a memory tells: why there are no places, and how often there were some."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.places = 0

    def trouble(self, error: BaseException) -> None:
        self.reasons.append(str(error))

    def place(self) -> None:
        self.places += 1


class Finder:
    """Finds the pose from the call number `first` on; None: never."""

    def __init__(self, first: int | None) -> None:
        self.first, self.calls = first, 0

    def __call__(self, frame_id: str, stamp_ns: int) -> Pose:
        self.calls += 1
        if self.first is None or self.calls < self.first:
            raise GarError(ErrorCode.NO_FRAME, f"no way from {frame_id}")
        return Pose("base", np.eye(3), np.zeros(3))


@pytest.mark.parametrize(
    ("stamps_ms", "reason"),
    [
        ((40, 60), "the newest depth is 0.040 s older than the image, but depth.slop is 0.005 s: raise depth.max_wait"),
        ((130, 160), "the oldest depth that is kept is 0.030 s newer than the image.*raise depth.images_kept"),
        ((93, 120), "the nearest depth is 0.007 s away from the image.* if it can.t, raise depth.slop"),
    ],
)
def test_depth_of_another_time_says_what_to_change(stamps_ms: tuple[int, ...], reason: str) -> None:
    told = Told()
    depth = DepthMemory(2, 5 * MS, on_trouble=told.trouble, on_place=told.place)
    for stamp in stamps_ms:
        depth.add(plane(stamp * MS, 1.0))
    assert not depth.extents(FRAME, [REGION])[0].known
    assert re.search(reason, depth.trouble)
    assert told.reasons == [depth.trouble]
    assert told.places == 0


def test_a_robot_without_depth_has_no_trouble() -> None:
    told = Told()
    depth = DepthMemory(2, 0, on_trouble=told.trouble)
    depth.extents(FRAME, [REGION])
    depth.check(FRAME)
    assert (depth.trouble, told.reasons) == ("", [])


def test_depth_that_has_only_just_begun_is_no_trouble() -> None:
    depth = DepthMemory(2, 0)
    depth.add(plane(130 * MS, 1.0))
    depth.extents(FRAME, [REGION])
    assert depth.trouble == ""
    depth.add(plane(140 * MS, 1.0))
    depth.extents(FRAME, [REGION])
    assert "raise depth.images_kept" in depth.trouble


def test_depth_without_any_measurement_says_so() -> None:
    depth = DepthMemory(2, 0)
    depth.add(plane(100 * MS, math.nan))
    assert not depth.extents(FRAME, [REGION])[0].known
    assert "has no measurement" in depth.trouble


def test_a_region_without_depth_beside_others_is_no_trouble() -> None:
    grid = np.full((10, 10, 3), (0.0, 0.0, 1.0), np.float32)
    grid[:, :5] = np.nan
    depth = DepthMemory(2, 0)
    depth.add(CloudSurface(100 * MS, "lens", lambda: grid))
    assert not depth.extents(FRAME, [Region.from_box("left", (0, 0, 5, 10), (10, 10))])[0].known
    assert depth.trouble == ""


@pytest.mark.parametrize("error", [ValueError("what"), ZeroDivisionError(), MemoryError(), AssertionError("\ud800")])
def test_a_measurement_that_can_not_be_read_costs_places_and_nothing_else(error: Exception) -> None:
    def fail() -> NDArray[np.float32]:
        raise error

    told = Told()
    depth = DepthMemory(2, 0, on_trouble=told.trouble)
    depth.add(CloudSurface(100 * MS, "lens", fail))
    assert not depth.extents(FRAME, [REGION])[0].known
    assert depth.trouble.startswith(type(error).__name__)
    surface = depth.surface(FRAME)
    assert surface is not None
    assert depth.points(surface, REGION).shape == (0, 3)
    assert len(told.reasons) == 2


def test_an_answer_waits_for_its_transformation_once_for_all_regions() -> None:
    find = Finder(first=4)
    depth = DepthMemory(2, 0, find, timeout=PATIENCE)
    depth.add(plane(100 * MS, 2.0))
    assert [extent.frame_id for extent in depth.extents(FRAME, [REGION] * 3)] == ["base"] * 3
    assert (find.calls, depth.trouble) == (4, "")
    assert depth.extents(FRAME, [REGION])[0].known
    assert find.calls == 4


def test_an_answer_waits_for_its_depth() -> None:
    depth = DepthMemory(2, 0, timeout=PATIENCE)
    depth.add(plane(60 * MS, 1.0))
    # Called while it waits.
    (extent,) = depth.extents(FRAME, [REGION], raise_if_cancelled=lambda: depth.add(plane(100 * MS, 2.0)))
    assert extent.centroid == (0.0, 0.0, 2.0)


def test_nothing_is_waited_for_that_can_not_come() -> None:
    def fail() -> None:
        pytest.fail("it waits")

    empty, other_time, too_old = (DepthMemory(2, 0, timeout=PATIENCE) for _ in range(3))
    other_time.add(plane(120 * MS, 1.0))
    too_old.add(plane(-1000 * MS, 1.0))
    moved_on = DepthMemory(2, 0, Finder(None), timeout=PATIENCE)
    moved_on.add(plane(100 * MS, 1.0))
    moved_on.add(plane(1200 * MS, 1.0))
    for depth in (empty, other_time, too_old, moved_on):
        assert not depth.extents(FRAME, [REGION], raise_if_cancelled=fail)[0].known


def test_a_cancelled_request_stops_waiting() -> None:
    def cancel() -> None:
        raise GarError(ErrorCode.CANCELLED, "by its caller")

    depth = DepthMemory(2, 0, Finder(None), timeout=PATIENCE)
    depth.add(plane(100 * MS, 2.0))
    with pytest.raises(GarError, match="by its caller"):
        depth.extents(FRAME, [REGION], raise_if_cancelled=cancel)


def test_no_answer_waits_beyond_its_request_s_deadline() -> None:
    depth = DepthMemory(2, 0, Finder(None), timeout=PATIENCE)
    depth.add(plane(100 * MS, 2.0))
    assert not depth.extents(FRAME, [REGION], until=time.monotonic() + 0.03)[0].known
    assert depth.trouble == "no way from lens"


def test_after_waiting_in_vain_others_don_t_wait() -> None:
    waits = 0

    def count() -> None:
        nonlocal waits
        waits += 1

    depth = DepthMemory(2, 0, Finder(None), timeout=PATIENCE)
    depth.add(plane(100 * MS, 2.0))
    depth.extents(FRAME, [REGION], until=time.monotonic() + 0.03, raise_if_cancelled=count)
    assert waits > 0
    before = waits
    depth.extents(FRAME, [REGION], raise_if_cancelled=count)
    assert waits == before


def test_what_is_drawn_neither_waits_nor_complains_of_what_may_come() -> None:
    told = Told()
    depth = DepthMemory(2, 0, Finder(None), timeout=PATIENCE, on_trouble=told.trouble)
    depth.add(plane(100 * MS, 2.0))
    assert not depth.has_places(FRAME)
    assert not depth.extents_now(FRAME, [REGION])[0].known
    assert told.reasons == []


def test_a_check_tells_at_the_next_one_what_hasn_t_come_by_then() -> None:
    told = Told()
    depth = DepthMemory(2, 0, Finder(None), on_trouble=told.trouble)
    depth.add(plane(100 * MS, 2.0))
    depth.check(FRAME)
    assert told.reasons == []
    depth.check(FRAME)
    assert told.reasons == ["no way from lens"]


def test_a_check_tells_of_another_view_at_once() -> None:
    told = Told()
    depth = DepthMemory(2, 0, on_trouble=told.trouble)
    depth.add(CloudSurface(100 * MS, "lens", lambda: np.zeros((4, 9, 3), np.float32)))
    depth.check(FRAME)
    assert len(told.reasons) == 1
    assert "expected depth registered to the image" in told.reasons[0]
