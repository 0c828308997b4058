# SPDX-License-Identifier: Apache-2.0
"""A memory of depth measurements, and where the regions of a frame were in space according to it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import GarError
from gar_ros.frame import Frame
from gar_ros.geometry.extent import Extent, Pose, region_extent, surface_points
from gar_ros.geometry.surface import Surface
from gar_ros.region import Region

PoseFinder = Callable[[str, int], "Pose | None"]
"""Called with the frame and the stamp (nanoseconds) of a surface. Returns its pose in the frame in which extents are to
be given, or None when they stay in the surface's frame. Raises GarError when the transformation is not known."""


class DepthMemory:
    """The newest depth measurements, and those that requests have used, which are kept longer. Thread-safe."""

    def __init__(self, capacity: int, slop_ns: int, find_pose: PoseFinder = lambda frame_id, stamp_ns: None) -> None:
        """capacity: number of newest measurements kept, and number of used measurements kept beside them. slop_ns:
        largest difference between the stamps of an image and of a measurement that belong together, nanoseconds."""
        self._slop_ns = slop_ns
        self._find_pose = find_pose
        self._lock = threading.Lock()
        self._newest: deque[Surface] = deque(maxlen=capacity)
        self._used: deque[Surface] = deque(maxlen=capacity)
        self.trouble = ""
        """Why the measurement could not be used for the last region that was looked up; empty when it could."""

    def add(self, surface: Surface) -> None:
        """Remembers a measurement and forgets the one that arrived first when there are more than `capacity`."""
        with self._lock:
            self._newest.append(surface)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._newest.clear()
            self._used.clear()

    def surface(self, frame: Frame) -> Surface | None:
        """The measurement nearest to a frame's stamp, None when it is further away than the slop.

        It counts as used from now on, so it outlives newer measurements.
        """
        with self._lock:
            known = (*self._newest, *self._used)
            nearest = min(known, key=lambda surface: abs(surface.stamp_ns - frame.stamp_ns), default=None)
            if nearest is None or abs(nearest.stamp_ns - frame.stamp_ns) > self._slop_ns:
                return None
            if nearest not in self._used:
                self._used.append(nearest)
            return nearest

    def extent(self, frame: Frame, region: Region) -> Extent:
        """Where a region of the frame was; unknown without depth near its stamp or without the transformation."""
        surface = self.surface(frame)
        if surface is not None:
            try:
                extent = region_extent(region.mask, surface, self._find_pose(surface.frame_id, surface.stamp_ns))
            except GarError as error:
                self.trouble = error.message
            else:
                self.trouble = ""
                return extent
        return Extent(frame.frame_id, frame.stamp_ns)

    def points(self, surface: Surface, region: Region) -> NDArray[np.float64]:
        """Points (N, 3) of a region on the surface, metres in its frame; N is 0 when the surface can't be used."""
        try:
            return surface_points(region.mask, surface)
        except GarError as error:
            self.trouble = error.message
            return np.empty((0, 3))
