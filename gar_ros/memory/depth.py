# SPDX-License-Identifier: Apache-2.0
"""A memory of depth measurements, and where the regions of a frame were in space according to it."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck, never_cancelled
from gar_ros.errors import ErrorCode, GarError, reason_of
from gar_ros.frame import Frame
from gar_ros.geometry.extent import Extent, Pose, region_extent, surface_points
from gar_ros.geometry.surface import Surface
from gar_ros.region import Region

PoseFinder = Callable[[str, int], "Pose | None"]
"""Called with the frame and the stamp (nanoseconds) of a surface. Returns its pose in the frame in which extents are to
be given, or None when they stay in the surface's frame. Raises GarError when the transformation is not known."""

_POLL = 0.01  # seconds
_RECENT_NS = 1_000_000_000
"""Largest age, compared with the newest depth, of a measurement whose transformation may still come, and of the newest
depth, compared with an image, at which the image's own may still come; nanoseconds."""
_PAUSE = 4
"""Waiting in vain is followed by so many times its length without waiting: it must not slow down every answer."""
_SPARSE = 8  # pixels between those that are looked at to see whether anything was measured


class _NoPlaceError(GarError):
    """Why a frame has no places. is_coming: what is missing may be on its way. is_trouble: there is something to mend,
    which is not so where nobody sends depth or it has just begun."""

    def __init__(self, message: str, is_coming: bool = False, is_trouble: bool = True) -> None:
        super().__init__(ErrorCode.NO_FRAME, message)
        self.is_coming, self.is_trouble = is_coming, is_trouble


class DepthMemory:
    """The newest depth measurements, and those that requests have used, which are kept longer. Thread-safe."""

    def __init__(
        self,
        capacity: int,
        slop_ns: int,
        find_pose: PoseFinder = lambda frame_id, stamp_ns: None,
        timeout: float = 0.0,
        on_trouble: Callable[[BaseException], object] = lambda error: None,
        on_place: Callable[[], None] = lambda: None,
    ) -> None:
        """capacity: number of newest measurements kept, and number of used measurements kept beside them. slop_ns:
        largest difference between the stamps of an image and of a measurement that belong together, nanoseconds.
        timeout: longest time that an answer waits for depth and transformation, seconds. on_trouble: told why there
        are no places, each time. on_place: called when there are."""
        self._slop_ns = slop_ns
        self._find_pose = find_pose
        self._timeout = timeout
        self._on_trouble, self._on_place = on_trouble, on_place
        self._lock = threading.Lock()
        self._newest: deque[Surface] = deque(maxlen=capacity)
        self._used: deque[Surface] = deque(maxlen=capacity)
        self._poses: WeakKeyDictionary[Surface, Pose] = WeakKeyDictionary()
        self._no_waiting_before = -math.inf
        self._checked: Frame | None = None
        self.trouble = ""
        """Why no place was found when places were looked up last; empty when some were."""

    def add(self, surface: Surface) -> None:
        """Remembers a measurement and forgets the one that arrived first when there are more than `capacity`."""
        with self._lock:
            self._newest.append(surface)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._newest.clear()
            self._used.clear()
            self._no_waiting_before = -math.inf
            self._checked = None

    def surface(self, frame: Frame) -> Surface | None:
        """The measurement nearest to a frame's stamp, None when it is further away than the slop.

        It counts as used from now on, so it outlives newer measurements.
        """
        with self._lock:
            nearest = self._nearest(frame)
            if nearest is not None and nearest not in self._used:
                self._used.append(nearest)
            return nearest

    def has_places(self, frame: Frame) -> bool:
        """Whether depth and transformation of a frame are there."""
        try:
            self._locate(frame)
        except GarError:
            return False
        return True

    def extents(
        self,
        frame: Frame,
        regions: Sequence[Region],
        until: float = math.inf,
        raise_if_cancelled: CancelCheck = never_cancelled,
    ) -> tuple[Extent, ...]:
        """Where regions of the frame were; unknown without depth near its stamp or without the transformation.

        Waits for what may be on its way, but never longer than the timeout or beyond `until`, monotonic seconds.
        Raises what `raise_if_cancelled` raises.
        """
        end = min(time.monotonic() + self._timeout, until)
        while self._is_coming(frame) and (now := time.monotonic()) >= self._no_waiting_before:
            if now >= end:
                self._no_waiting_before = now + _PAUSE * self._timeout
                break
            raise_if_cancelled()
            time.sleep(_POLL)
        return self._extents(frame, regions, tell_late=True)

    def extents_now(self, frame: Frame, regions: Sequence[Region]) -> tuple[Extent, ...]:
        """As `extents`, without waiting."""
        return self._extents(frame, regions, tell_late=False)

    def check(self, frame: Frame) -> None:
        """Tells what is wrong before somebody asks for places; to be called with a new frame now and then.

        What may still be on its way for this frame is told at the next call, if it hasn't come by then.
        """
        before, self._checked = self._checked, frame if self.surface(frame) else None
        if before is not None and self.surface(before) is not None:
            self._extents(before, (), tell_late=True)
        self._extents(frame, (), tell_late=False)

    def points(self, surface: Surface, region: Region) -> NDArray[np.float64]:
        """Points (N, 3) of a region on the surface, metres in its frame; N is 0 when the surface can't be used."""
        try:
            return surface_points(region.mask, surface)
        except Exception as error:  # noqa: BLE001 one measurement that can't be read must not end the drawing
            self._tell(error)
            return np.empty((0, 3))

    def _extents(self, frame: Frame, regions: Sequence[Region], tell_late: bool) -> tuple[Extent, ...]:
        try:
            surface, pose = self._locate(frame)
            extents = tuple(region_extent(region.mask, surface, pose) for region in regions)
            if not any(extent.known for extent in extents):
                _check_measured(frame, surface)
        except Exception as error:  # noqa: BLE001 an answer without a place is better than none
            silent = isinstance(error, _NoPlaceError) and (not error.is_trouble or (error.is_coming and not tell_late))
            if not silent:
                self._tell(error)
            return tuple(Extent(frame.frame_id, frame.stamp_ns) for _ in regions)
        self.trouble = ""
        self._on_place()
        return extents

    def _tell(self, error: Exception) -> None:
        self.trouble = reason_of(error)
        self._on_trouble(error)

    def _is_coming(self, frame: Frame) -> bool:
        """Whether depth or transformation of a frame are missing but may be on their way."""
        try:
            self._locate(frame)
        except _NoPlaceError as error:
            return error.is_coming
        except Exception:  # noqa: BLE001 told when the places are computed
            return False
        return False

    def _locate(self, frame: Frame) -> tuple[Surface, Pose | None]:
        """Depth of a frame and its pose. Raises _NoPlaceError."""
        with self._lock:
            surface = self._nearest(frame)
            if surface is None:
                raise self._missing(frame)
            if surface not in self._used:
                self._used.append(surface)
            pose = self._poses.get(surface)
            newest_ns = max(one.stamp_ns for one in self._newest)
        if pose is None:
            try:
                pose = self._find_pose(surface.frame_id, surface.stamp_ns)
            except GarError as error:
                raise _NoPlaceError(error.message, is_coming=newest_ns - surface.stamp_ns <= _RECENT_NS) from error
        if pose is not None:
            with self._lock:
                self._poses[surface] = pose
        return surface, pose

    def _nearest(self, frame: Frame) -> Surface | None:
        known = (*self._newest, *self._used)
        nearest = min(known, key=lambda surface: abs(surface.stamp_ns - frame.stamp_ns), default=None)
        return nearest if nearest and abs(nearest.stamp_ns - frame.stamp_ns) <= self._slop_ns else None

    def _missing(self, frame: Frame) -> _NoPlaceError:
        """Why no measurement is near enough to a frame's stamp."""
        if not self._newest:
            return _NoPlaceError("no depth has arrived", is_trouble=False)
        apart = [surface.stamp_ns - frame.stamp_ns for surface in self._newest]
        slop = f"depth.slop is {self._slop_ns / 1e9:g} s"
        if max(apart) < 0:
            return _NoPlaceError(
                f"the newest depth is {-max(apart) / 1e9:.3f} s older than the image, but {slop}: raise depth.max_wait "
                "if depth comes later than its image, otherwise correct its stamps",
                is_coming=-max(apart) <= _RECENT_NS,
            )
        if min(apart) > 0:
            return _NoPlaceError(
                f"the oldest depth that is kept is {min(apart) / 1e9:.3f} s newer than the image, but {slop}: raise "
                "depth.images_kept for questions about older images, otherwise correct the stamps of depth",
                is_trouble=len(self._newest) == self._newest.maxlen,  # else depth has only just begun to come
            )
        return _NoPlaceError(
            f"the nearest depth is {min(map(abs, apart)) / 1e9:.3f} s away from the image, but {slop}: depth must "
            "carry the stamp of its image; if it can't, raise depth.slop"
        )


def _check_measured(frame: Frame, surface: Surface) -> None:
    """Raises GarError when the depth can't be used for any region of the frame."""
    sparse = np.zeros(frame.size[::-1], bool)
    sparse[::_SPARSE, ::_SPARSE] = True
    points, _ = surface.points(sparse)
    if len(points) == 0:
        raise _NoPlaceError(
            "the depth at the image's time has no measurement: all values are 0, NaN or the largest number; look at "
            "what the depth sensor publishes"
        )
