# SPDX-License-Identifier: Apache-2.0
"""Which depth measurement a frame's regions are looked up in."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.geometry.extent import Pose
from gar_ros.geometry.surface import CloudSurface
from gar_ros.memory.depth import DepthMemory
from gar_ros.region import Region

MS = 1_000_000
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
    assert depth.trouble == ""


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
    depth.extents(FRAME, [REGION])[0]
    assert depth.trouble == ("" if known else "earlier")
