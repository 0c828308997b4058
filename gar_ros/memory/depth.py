"""The newest depth measurements, and where the regions of a frame were in them."""

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
"""(frame of a surface, its stamp in nanoseconds) -> pose of what extents are given in; None: as measured.

Raises GarError when the transformation is not known.
"""


class DepthMemory:
    """Depth measurements and the extents of regions in the one nearest in time. Thread-safe.

    capacity: of the newest measurements, and of those that were used for a frame, which outlive them.
    slop_ns: how far apart the stamps of image and depth may be.
    """

    def __init__(self, capacity: int, slop_ns: int, find_pose: PoseFinder = lambda frame_id, stamp_ns: None) -> None:
        self._slop_ns = slop_ns
        self._find_pose = find_pose
        self._lock = threading.Lock()
        self._newest: deque[Surface] = deque(maxlen=capacity)
        self._used: deque[Surface] = deque(maxlen=capacity)
        self.trouble = ""
        """Why depth that came could not be used for the last region; empty when it could."""

    def add(self, surface: Surface) -> None:
        """Remembers a measurement; the oldest arrival leaves."""
        with self._lock:
            self._newest.append(surface)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._newest.clear()
            self._used.clear()

    def surface(self, frame: Frame) -> Surface | None:
        """The measurement nearest to a frame's stamp, if it is near enough. It is kept like the frame that was used."""
        with self._lock:
            known = (*self._newest, *self._used)
            nearest = min(known, key=lambda surface: abs(surface.stamp_ns - frame.stamp_ns), default=None)
            if nearest is None or abs(nearest.stamp_ns - frame.stamp_ns) > self._slop_ns:
                return None
            if nearest not in self._used:
                self._used.append(nearest)
            return nearest

    def extent(self, frame: Frame, region: Region) -> Extent:
        """Where a region of the frame was; unknown without depth near the image's stamp or a needed transformation."""
        surface = self.surface(frame)
        if surface is not None:
            try:
                found = region_extent(region.mask, surface, self._find_pose(surface.frame_id, surface.stamp_ns))
            except GarError as error:
                self.trouble = error.message
            else:
                self.trouble = ""
                return found
        return Extent(frame.frame_id, frame.stamp_ns)

    def points(self, surface: Surface, region: Region) -> NDArray[np.float64]:
        """Surface points (N, 3) of a region, metres in the surface's frame; none where depth can't be used."""
        try:
            return surface_points(region.mask, surface)
        except GarError as error:
            self.trouble = error.message
            return np.empty((0, 3))
