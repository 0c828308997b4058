"""The newest images and the regions a detector found in them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region


class RegionSource(Protocol):
    """Regions of one image that are built from their message only when asked for: most frames never are."""

    def ids(self) -> tuple[str, ...]:
        """Ids in the detector's order."""
        ...

    def region(self, region_id: str) -> Region:
        """The region of one of these ids. Raises GarError EMPTY_MASK."""
        ...


@dataclass(frozen=True, eq=False)
class Frame:
    """One image with the regions found in it; nothing about it changes after it was made.

    stamp_ns: the image's stamp, nanoseconds. frame_id: the camera's optical frame. size: (width, height) in pixels.
    load_image: converts the message to (H, W, 3) uint8 RGB. regions: None while no detection has this image's stamp.
    """

    stamp_ns: int
    frame_id: str
    size: tuple[int, int]
    load_image: Callable[[], NDArray[np.uint8]]
    regions: RegionSource | None = None

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, read-only."""
        image = self.load_image()
        image.setflags(write=False)
        return image


class FrameMemory:
    """The newest images and the newest (image, regions) pairs, `capacity` of each, in order of arrival. Thread-safe.

    Frames that a request has used are held longer than those nobody asked about, so that a planner can come
    back to the stamp it has just been told.
    """

    def __init__(self, capacity: int) -> None:
        self._lock = threading.Lock()
        self._images: deque[Frame] = deque(maxlen=capacity)
        self._pairs: deque[Frame] = deque(maxlen=capacity)
        self._held: deque[Frame] = deque(maxlen=capacity)

    def add(self, frame: Frame) -> None:
        """Remembers an image, or a pair; a frame of the same kind and stamp is replaced."""
        with self._lock:
            _put(self._pairs if frame.regions is not None else self._images, frame)

    def hold(self, frame: Frame) -> None:
        """Keeps a frame that a request has used among the last `capacity` used ones."""
        with self._lock:
            _put(self._held, frame)

    def newest(self, with_regions: bool) -> Frame | None:
        """The pair that arrived last, or the image that arrived last (as a pair where there is one)."""
        with self._lock:
            frames = self._pairs if with_regions else self._images
            return self._find(frames[-1].stamp_ns, with_regions) if frames else None

    def at(self, stamp_ns: int, with_regions: bool) -> Frame | None:
        """The kept frame of exactly this stamp: a pair, or any image (as a pair where there is one)."""
        with self._lock:
            return self._find(stamp_ns, with_regions)

    def stamps(self, with_regions: bool) -> list[int]:
        """Stamps of the kept frames, nanoseconds, newest first."""
        with self._lock:
            return sorted({frame.stamp_ns for frame in self._kept(with_regions)}, reverse=True)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            for frames in (self._pairs, self._images, self._held):
                frames.clear()

    def _find(self, stamp_ns: int, with_regions: bool) -> Frame | None:
        frames = [frame for frame in self._kept(with_regions) if frame.stamp_ns == stamp_ns]
        return max(frames, key=lambda frame: frame.regions is not None, default=None)

    def _kept(self, with_regions: bool) -> list[Frame]:
        frames = [*self._pairs, *self._images, *self._held]
        return [frame for frame in frames if frame.regions is not None or not with_regions]


def _put(frames: deque[Frame], frame: Frame) -> None:
    for same in [other for other in frames if other.stamp_ns == frame.stamp_ns]:
        frames.remove(same)
    frames.append(frame)


def askable(frame: Frame) -> list[Region]:
    """The regions of a frame, without those that have no pixel."""
    if frame.regions is None:
        return []
    regions = []
    for region_id in frame.regions.ids():
        try:
            regions.append(frame.regions.region(region_id))
        except GarError as error:
            if error.code is not ErrorCode.EMPTY_MASK:
                raise
    return regions
