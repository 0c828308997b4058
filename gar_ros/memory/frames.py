# SPDX-License-Identifier: Apache-2.0
"""The newest images and the regions a detector found in them."""

from __future__ import annotations

import threading
from collections import deque

from gar_ros.frame import Frame


class FrameMemory:
    """The newest images and the newest pairs, which are images with regions, in order of arrival. Thread-safe.

    Frames that a request has used are kept longer than others, so that a planner can ask again about the stamp of its
    last answer.
    """

    def __init__(self, capacity: int, past: int = 0, past_ns: int = 0) -> None:
        """capacity: number of images, of pairs, and of used frames that are kept. past: number of older pairs kept
        besides. past_ns: least time between the stamps of two older pairs, nanoseconds."""
        self._past: deque[Frame] = deque(maxlen=past)
        self._past_ns = past_ns
        self._lock = threading.Lock()
        self._images: deque[Frame] = deque(maxlen=capacity)
        self._pairs: deque[Frame] = deque(maxlen=capacity)
        self._held: deque[Frame] = deque(maxlen=capacity)

    def add(self, frame: Frame) -> None:
        """Remembers an image or a pair; it replaces one of the same kind and stamp."""
        with self._lock:
            _put(self._pairs if frame.regions is not None else self._images, frame)
            due = not self._past or frame.stamp_ns >= self._past[-1].stamp_ns + self._past_ns
            if frame.regions is not None and due and self._past.maxlen:
                self._past.append(frame)

    def hold(self, frame: Frame) -> None:
        """Keeps a frame that a request uses; the last `capacity` used frames are kept."""
        with self._lock:
            _put(self._held, frame)

    def newest(self, with_regions: bool) -> Frame | None:
        """The frame that arrived last, None before the first.

        with_regions: whether only pairs count; else any image counts and is returned as a pair where there is one.
        """
        with self._lock:
            frames = self._pairs if with_regions else self._images
            return self._find(frames[-1].stamp_ns, with_regions) if frames else None

    def at(self, stamp_ns: int, with_regions: bool) -> Frame | None:
        """The kept frame of exactly this stamp in nanoseconds, else None. with_regions: as for `newest`."""
        with self._lock:
            return self._find(stamp_ns, with_regions)

    def stamps(self, with_regions: bool) -> list[int]:
        """Stamps of the kept frames, nanoseconds, newest first. with_regions: only those of pairs."""
        with self._lock:
            return sorted({frame.stamp_ns for frame in self._kept(with_regions)}, reverse=True)

    def history(self) -> list[Frame]:
        """All kept pairs, oldest first."""
        with self._lock:
            frames = {frame.stamp_ns: frame for frame in reversed(self._kept(with_regions=True))}
        return [frames[stamp] for stamp in sorted(frames)]

    def past(self) -> list[Frame]:
        """The kept pairs that are `past_ns` or more apart, oldest first, and the newest pair."""
        with self._lock:
            return [*self._past, *[frame for frame in list(self._pairs)[-1:] if frame not in self._past]]

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            for frames in (self._pairs, self._images, self._held, self._past):
                frames.clear()

    def _find(self, stamp_ns: int, with_regions: bool) -> Frame | None:
        frames = [frame for frame in self._kept(with_regions) if frame.stamp_ns == stamp_ns]
        return max(frames, key=lambda frame: frame.regions is not None, default=None)

    def _kept(self, with_regions: bool) -> list[Frame]:
        frames = [*self._pairs, *self._images, *self._held, *self._past]
        return [frame for frame in frames if frame.regions is not None or not with_regions]


def _put(frames: deque[Frame], frame: Frame) -> None:
    for replaced in [kept for kept in frames if kept.stamp_ns == frame.stamp_ns]:
        frames.remove(replaced)
    frames.append(frame)
