"""Regions over time: which region of a frame is which object, and what is remembered of each."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Protocol

from gar_ros.frame import Frame, RegionSource, Sighting
from gar_ros.region import Region


class TrackState(IntEnum):
    """Where an object is in its life; Track.msg has the same constants with their meanings (a test compares both)."""

    TENTATIVE = 0
    CONFIRMED = 1
    COASTING = 2
    LOST = 3


@dataclass(frozen=True)
class Track:
    """One object. Stamps in nanoseconds. frame: the last image that showed it, None once that is forgotten."""

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

    def names(self, stamp_ns: int, seen: Sequence[Sighting]) -> list[str]:
        """A track id for each sighting; no id comes back for another object."""
        ...

    def clear(self) -> None:
        """Ends all tracks after the clock jumped back; issued ids are never reused."""
        ...


class DetectorIds:
    """The detector tracks already: its ids are kept.

    An id that comes back after `lost_ns`, or with another label, is another object: a detector that was restarted
    counts from the beginning again. It is then called "3#2", "3#3", ..
    """

    needs_boxes = False

    def __init__(self, lost_ns: int) -> None:
        self._lost_ns = lost_ns
        self._known: dict[str, tuple[int, str, int]] = {}  # detector's id -> life, label, last stamp

    def names(self, stamp_ns: int, seen: Sequence[Sighting]) -> list[str]:
        """See Tracker."""
        return [self._name(stamp_ns, one) for one in seen]

    def clear(self) -> None:
        """The next sighting of every id is another object."""
        self._known = {key: (life, label, -(2**62)) for key, (life, label, _) in self._known.items()}

    def _name(self, stamp_ns: int, one: Sighting) -> str:
        life, label, last_ns = self._known.get(one.detector_id, (1, one.label, stamp_ns))
        if stamp_ns - last_ns > self._lost_ns or (label and one.label and label != one.label):
            life, label = life + 1, one.label
        self._known[one.detector_id] = (life, label or one.label, max(stamp_ns, last_ns))
        return one.detector_id if life == 1 else f"{one.detector_id}#{life}"


class RenamedRegions:
    """The regions of a frame under their track ids."""

    def __init__(self, source: RegionSource, names: Mapping[str, str]) -> None:
        """names: track id -> detector's id."""
        self._source, self._names = source, dict(names)

    def ids(self) -> tuple[str, ...]:
        """See RegionSource."""
        return tuple(self._names)

    def region(self, region_id: str) -> Region:
        """See RegionSource."""
        return replace(self._source.region(self._names[region_id]), id=region_id)

    def sightings(self, boxes: bool) -> list[Sighting]:
        """See RegionSource."""
        return self._source.sightings(boxes)


class TrackMemory:
    """All objects seen in this run, the newest `capacity` of them. Thread-safe."""

    def __init__(self, tracker: Tracker, confirm_after: int, lost_ns: int, capacity: int, images: int) -> None:
        """confirm_after: images that must show an object before it is CONFIRMED. lost_ns: nanoseconds, by stamps,
        without a sighting after which it is LOST. capacity: number of objects remembered. images: number of last images
        kept of objects out of view; several objects may share one."""
        self._tracker = tracker
        self._confirm_after, self._lost_ns, self._capacity, self._images = confirm_after, lost_ns, capacity, images
        self._lock = threading.Lock()
        self._tracks: dict[str, Track] = {}
        self._newest: Frame | None = None

    def follow(self, frame: Frame) -> Frame:
        """The frame with track ids instead of the detector's, remembered; stamps must not go back."""
        source = frame.regions
        if source is None:
            return frame
        seen = source.sightings(self._tracker.needs_boxes)
        with self._lock:
            names = self._tracker.names(frame.stamp_ns, seen)
            renamed = any(name != one.detector_id for name, one in zip(names, seen, strict=True))
            if renamed:
                mapping = {name: one.detector_id for name, one in zip(names, seen, strict=True)}
                frame = replace(frame, regions=RenamedRegions(source, mapping))
            for name, one in zip(names, seen, strict=True):
                self._see(name, one, frame)
            self._newest = frame
            self._forget()
        return frame

    def tracks(self) -> list[tuple[Track, TrackState]]:
        """All that are remembered, those in the newest frame first."""
        with self._lock:
            newest = self._newest.stamp_ns if self._newest else 0
            states = [(track, self._state(track, newest)) for track in self._tracks.values()]
        return sorted(states, key=lambda one: one[0].last_ns != newest)

    def last_showing(self, ids: Sequence[str]) -> Frame | None:
        """The newest remembered frame that showed all these objects."""
        with self._lock:
            frames = {id(track.frame): track.frame for track in self._tracks.values() if track.frame is not None}
            showing = [one for one in frames.values() if one.regions and set(ids) <= set(one.regions.ids())]
            return max(showing, key=lambda one: one.stamp_ns, default=None)

    def clear(self) -> None:
        """Forgets all objects after the clock jumped back; issued ids are never reused."""
        with self._lock:
            self._tracker.clear()
            self._tracks.clear()
            self._newest = None

    def _see(self, name: str, one: Sighting, frame: Frame) -> None:
        known = self._tracks.pop(name, None)
        self._tracks[name] = Track(
            id=name,
            detector_id=one.detector_id,
            label=one.label or (known.label if known else ""),
            score=one.score,
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

    def _forget(self) -> None:
        """Tracks beyond the capacity, longest unseen first, and images beyond theirs."""
        while len(self._tracks) > self._capacity:
            del self._tracks[next(iter(self._tracks))]  # `_see` moves each to the end
        held = sorted({track.last_ns for track in self._tracks.values() if track.frame is not None}, reverse=True)
        oldest = held[: self._images + 1][-1]
        for name, track in self._tracks.items():
            if track.frame is not None and track.last_ns < oldest:
                self._tracks[name] = replace(track, frame=None)
