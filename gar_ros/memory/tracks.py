# SPDX-License-Identifier: Apache-2.0
"""Tracks: which region of a frame is which object over time, and what is remembered of each object."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

from gar_ros.frame import Frame, RegionSource, Sighting
from gar_ros.region import Region


class TrackState(IntEnum):
    """The state of a track; Track.msg has the same constants with their meanings (a test compares both)."""

    TENTATIVE = 0
    CONFIRMED = 1
    COASTING = 2
    LOST = 3


@dataclass(frozen=True)
class Track:
    """One object.

    id: unique in this run. detector_id, label, score: what the detector says of it; the label is the last one that
    wasn't empty. first_ns, last_ns: stamps of the first and the last image that showed it, nanoseconds. frames: number
    of images that showed it. frame: the last image that showed it, None once that image is forgotten.
    """

    id: str
    detector_id: str
    label: str
    score: float
    first_ns: int
    last_ns: int
    frames: int
    frame: Frame | None


class Tracker(Protocol):
    """Says which object each region of an image is."""

    needs_boxes: bool
    """Whether `track_ids` needs the boxes of sightings."""

    def track_ids(self, stamp_ns: int, sightings: Sequence[Sighting]) -> list[str]:
        """The track id of each sighting in the image of this stamp, nanoseconds; ids are never reused."""
        ...

    def clear(self) -> None:
        """Ends all tracks after the clock jumped back; issued ids are never reused."""
        ...

    @property
    def known(self) -> int:
        """Number of objects that may get the same id when they are seen again."""
        ...


class RenamedRegions:
    """The regions of a frame under their track ids. See RegionSource."""

    def __init__(self, source: RegionSource, keys: Mapping[str, str]) -> None:
        """source: the regions under its own ids. keys: the id in `source` by track id."""
        self._source, self._keys = source, dict(keys)

    def ids(self) -> tuple[str, ...]:
        """See RegionSource."""
        return tuple(self._keys)

    def region(self, region_id: str) -> Region:
        """See RegionSource."""
        return replace(self._source.region(self._keys[region_id]), id=region_id)

    def sightings(self, boxes: bool) -> list[Sighting]:
        """See RegionSource."""
        return self._source.sightings(boxes)


@dataclass(frozen=True)
class Usage:
    """What is kept, in numbers. ids: see Tracker.known."""

    tracks: int
    ids: int


class TrackMemory:
    """The tracks of the objects that images showed in this run, the `capacity` seen last. Thread-safe."""

    def __init__(self, tracker: Tracker, confirm_after: int, lost_ns: int, capacity: int, images: int) -> None:
        """confirm_after: images that must show an object before its track is CONFIRMED. lost_ns: nanoseconds without a
        sighting, by stamps, after which a track is LOST. capacity: number of tracks remembered. images: number of past
        images kept for objects out of view; several objects may share one image."""
        self._tracker = tracker
        self._confirm_after, self._lost_ns, self._capacity, self._images = confirm_after, lost_ns, capacity, images
        self._lock = threading.Lock()
        self._tracks: dict[str, Track] = {}
        self._newest: Frame | None = None

    def follow(self, frame: Frame) -> Frame:
        """The frame with track ids instead of the detector's ids; its sightings continue or begin tracks.

        Stamps must not go back from call to call: call `clear` when the clock jumped.
        """
        source = frame.regions
        if source is None:
            return frame
        sightings = source.sightings(self._tracker.needs_boxes)
        with self._lock:
            track_ids = self._tracker.track_ids(frame.stamp_ns, sightings)
            keys = [sighting.key or sighting.detector_id for sighting in sightings]
            if track_ids != keys or source.ids() != tuple(keys):
                frame = replace(frame, regions=RenamedRegions(source, dict(zip(track_ids, keys, strict=True))))
            for track_id, sighting in zip(track_ids, sightings, strict=True):
                self._update(track_id, sighting, frame)
            self._newest = frame
            self._forget(len(sightings))
        return frame

    @property
    def usage(self) -> Usage:
        """What is kept now."""
        with self._lock:
            return Usage(len(self._tracks), self._tracker.known)

    def tracks(self) -> list[tuple[Track, TrackState]]:
        """All tracks that are remembered with their states, those in the newest frame first."""
        with self._lock:
            newest_ns = self._newest.stamp_ns if self._newest else 0
            states = [(track, self._state(track, newest_ns)) for track in self._tracks.values()]
        return sorted(states, key=lambda pair: pair[0].last_ns != newest_ns)

    def last_showing(self, ids: Sequence[str]) -> Frame | None:
        """The newest remembered frame that showed all objects of these track ids, None without one."""
        with self._lock:
            frames = {id(track.frame): track.frame for track in self._tracks.values() if track.frame is not None}
            showing = [frame for frame in frames.values() if frame.regions and set(ids) <= set(frame.regions.ids())]
            return max(showing, key=lambda frame: frame.stamp_ns, default=None)

    def clear(self) -> None:
        """Forgets all tracks after the clock jumped back; issued ids are never reused."""
        with self._lock:
            self._tracker.clear()
            self._tracks.clear()
            self._newest = None

    def _update(self, track_id: str, sighting: Sighting, frame: Frame) -> None:
        known = self._tracks.pop(track_id, None)
        self._tracks[track_id] = Track(
            id=track_id,
            detector_id=sighting.detector_id,
            label=sighting.label or (known.label if known else ""),
            score=sighting.score,
            first_ns=known.first_ns if known else frame.stamp_ns,
            last_ns=frame.stamp_ns,
            frames=(known.frames if known else 0) + 1,
            frame=frame,
        )

    def _state(self, track: Track, newest_ns: int) -> TrackState:
        if newest_ns - track.last_ns > self._lost_ns:
            return TrackState.LOST
        if track.frames < self._confirm_after:
            return TrackState.TENTATIVE
        return TrackState.CONFIRMED if track.last_ns == newest_ns else TrackState.COASTING

    def _forget(self, in_view: int) -> None:
        """Forgets the tracks and past images beyond their numbers, those unseen for longest first; never one of the
        `in_view` tracks of the newest image."""
        while len(self._tracks) > max(self._capacity, in_view):
            del self._tracks[next(iter(self._tracks))]  # `_update` moves each to the end
        held = sorted({track.last_ns for track in self._tracks.values() if track.frame is not None}, reverse=True)
        oldest = held[: self._images + 1][-1] if held else 0  # a scene may be empty from its first image on
        for track_id, track in self._tracks.items():
            if track.frame is not None and track.last_ns < oldest:
                self._tracks[track_id] = replace(track, frame=None)
