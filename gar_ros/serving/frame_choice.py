# SPDX-License-Identifier: Apache-2.0
"""Chooses the image and the regions that a request is about: newest, by stamp, ago, out of view, keyframe, video."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, askable
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.region import Region
from gar_ros.serving.requests import Query, Request
from gar_ros.settings import Settings

Why = Literal["newest", "stamp", "ago", "out of view", "keyframe"]
"""Why an image was chosen: it is the newest; the request named its stamp, or how long ago it was; it is the last one
that showed regions which are out of view; it is a keyframe that serves instead of an image that is a little newer."""

StandIn = Callable[[Frame, Sequence[str]], Frame]
"""Called with an image and region ids. Returns a keyframe that serves instead of the image, or the image."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """The image and the regions that a request is about.

    regions: in prompt order. age_ns: time from the image's stamp to the choice, nanoseconds. why: why this image.
    video: for a video its images with the one region in each, oldest first and `frame` last; else empty.
    """

    request: Request
    frame: Frame
    regions: tuple[Region, ...]
    age_ns: int
    why: Why
    video: tuple[tuple[Frame, Region], ...] = ()


class FrameChoice:
    """Chooses among the remembered images and makes the memory keep what was chosen. Thread-safe."""

    def __init__(
        self,
        frames: FrameMemory,
        tracks: TrackMemory | None,
        settings: Callable[[], Settings],
        now_ns: Callable[[], int],
        stand_in: StandIn | None = None,
    ) -> None:
        """tracks: where regions that are out of view are looked up; None: nowhere. settings: returns the current
        parameters. now_ns: returns the time on the clock that stamps images, nanoseconds. stand_in: finds keyframes
        that may serve instead of the newest image; None: there are none."""
        self._frames, self._tracks, self._settings, self._now_ns = frames, tracks, settings, now_ns
        self._stand_in = stand_in

    def choose(self, request: Request) -> Chosen:
        """The image that a request is about, with the regions that it names or brings; without any, all regions.

        Raises GarError NO_FRAME, STALE_FRAME, UNKNOWN_REGION, EMPTY_MASK, INVALID_REQUEST.
        """
        now = self._now_ns()  # once, so that the age that is told is the one that was checked
        frame, why = self._image(request, now)
        _check_known(request.region_ids, frame)
        source = frame.regions
        regions = [] if source is None else [source.region(region_id) for region_id in request.region_ids]
        video: tuple[tuple[Frame, Region], ...] = ()
        if isinstance(request, Query):
            regions += [make(frame) for make in request.ad_hoc]
            check_different([region.id for region in regions])
            if request.keyframes > 1:
                video = self._video(frame, regions[0], request.keyframes)
        self._frames.hold(frame)
        return Chosen(request, frame, tuple(regions or askable(frame)), now - frame.stamp_ns, why, video)

    def choose_remembered(self, request: Request) -> tuple[Chosen, ...]:
        """The newest image, then the last images that show regions which it doesn't show, newest first.

        Each with its part of the regions that the request names; without any, with all of them. A remembered region
        that isn't named is left out when its image is older than the request's max_age.
        Raises GarError as `choose` does, INVALID_REQUEST for a request that names a stamp.
        """
        if request.stamp_ns or request.ago:
            raise GarError(
                ErrorCode.INVALID_REQUEST, "expected either stamp or remembered, got both: leave one of them out"
            )
        now = self._now_ns()
        frame, why = self._newest(replace(request, region_ids=()), now)
        newest, away = self._frames.newest(request.needs_regions), self._away(request, frame, now)
        images: list[tuple[Frame, Why, Sequence[str]]] = [(frame, why, request.region_ids or _ids(frame))]
        for image in sorted(away, key=lambda image: -image.stamp_ns):
            images.append((image, "newest" if image is newest else "out of view", away[image]))
        chosen = []
        for image, why, ids in images:
            regions = _regions(image, ids, named=bool(request.region_ids))
            chosen.append(Chosen(request, image, regions, now - image.stamp_ns, why))
            self._frames.hold(image)
        return tuple(chosen)

    def renew(self, chosen: Chosen) -> Chosen:
        """The choice made again, since another image may be the newest by now. Raises GarError as `choose` does."""
        if chosen.why in ("stamp", "ago"):
            now = self._now_ns()
            self._check_age(chosen.frame, chosen.request.max_age or math.inf, "the image", now)
            return replace(chosen, age_ns=now - chosen.frame.stamp_ns)
        return self.choose(chosen.request)

    def age_ns(self, stamp_ns: int) -> int:
        """The time from an image's stamp to now, nanoseconds."""
        return self._now_ns() - stamp_ns

    def _image(self, request: Request, now: int) -> tuple[Frame, Why]:
        why: Why
        if request.ago:
            if request.stamp_ns:
                raise GarError(ErrorCode.INVALID_REQUEST, "expected either stamp or ago, got both: leave one of them 0")
            frame, why = self._ago(request.ago), "ago"
        elif request.stamp_ns:
            frame, why = self._stamped(request), "stamp"
        else:
            return self._newest(request, now)
        self._check_age(frame, request.max_age or math.inf, "the image", now)
        return frame, why

    def _newest(self, request: Request, now: int) -> tuple[Frame, Why]:
        """The newest image, a keyframe in its place, or the last one that showed regions which are out of view."""
        what = f"image{_with_regions(request)}"
        newest = self._frames.newest(request.needs_regions)
        if newest is None:
            raise GarError(ErrorCode.NO_FRAME, f"no {what} has arrived yet")
        frame = self._stand_in(newest, request.region_ids) if self._stand_in else newest
        self._check_age(frame, request.max_age or self._settings().request.max_age, f"the newest {what}", now)
        if self._tracks is not None and not _shows(frame, request.region_ids):
            last = self._tracks.last_showing(request.region_ids)
            if last is not None:
                what = f"the last image that showed all of {', '.join(request.region_ids)}"
                self._check_age(last, request.max_age or math.inf, what, now)
                return last, "out of view"
        return frame, "newest" if frame is newest else "keyframe"

    def _away(self, request: Request, frame: Frame, now: int) -> dict[Frame, list[str]]:
        """The last images of remembered regions that `frame` doesn't show, with the ids of these regions.

        Raises GarError UNKNOWN_REGION and STALE_FRAME for a region that the request names.
        """
        here, max_age = set(_ids(frame)), request.max_age or math.inf
        tracks = self._tracks.tracks() if self._tracks is not None else []
        last = {track.id: track.frame for track, _ in tracks if track.frame is not None and track.id not in here}
        away: dict[Frame, list[str]] = {}
        for region_id in request.region_ids or last:
            if region_id in here:
                continue
            if region_id not in last:
                known = ", ".join([*_ids(frame), *last][:20]) or "none"
                raise GarError(
                    ErrorCode.UNKNOWN_REGION, f"no region '{region_id}' is in view or remembered; there are: {known}"
                )
            image = last[region_id]
            if request.region_ids:
                self._check_age(image, max_age, f"the last image that showed {region_id}", now)
            if now - image.stamp_ns <= max_age * 1e9:
                away.setdefault(image, []).append(region_id)
        return away

    def _stamped(self, request: Request) -> Frame:
        found = self._frames.at(request.stamp_ns, request.needs_regions)
        if found is None:
            kept = ", ".join(map(_seconds, self._frames.stamps(request.needs_regions)[:10])) or "none"
            raise GarError(
                ErrorCode.NO_FRAME,
                f"expected the stamp of an image{_with_regions(request)} that is kept (newest first: {kept}), "
                f"got {_seconds(request.stamp_ns)}",
            )
        return found

    def _ago(self, ago: float) -> Frame:
        """The image with regions that is nearest to `ago` seconds before the newest one."""
        kept = self._frames.history()
        if not kept:
            raise GarError(ErrorCode.NO_FRAME, "no image with regions has arrived yet")
        wanted, slop = kept[-1].stamp_ns - ago * 1e9, self._settings().past.slop
        nearest = min(kept, key=lambda frame: abs(frame.stamp_ns - wanted))
        if abs(nearest.stamp_ns - wanted) > slop * 1e9:
            ages = ", ".join(f"{(kept[-1].stamp_ns - frame.stamp_ns) / 1e9:.2f}" for frame in kept[::-1][:20])
            raise GarError(
                ErrorCode.NO_FRAME,
                f"no image is within past.slop ({slop:g} s) of {ago:g} s before the newest; kept are those {ages} s "
                "before it",
            )
        return nearest

    def _video(self, last: Frame, region: Region, count: int) -> tuple[tuple[Frame, Region], ...]:
        """The newest kept images that show the region, up to `last`, with the region; at most `count`, oldest first."""
        shown = [
            (frame, frame.regions.region(region.id))
            for frame in self._frames.past()
            if frame.regions is not None and frame.stamp_ns < last.stamp_ns and region.id in frame.regions.ids()
        ]
        return (*shown[1 - count :], (last, region))

    def _check_age(self, frame: Frame, max_age: float, what: str, now: int) -> None:
        """Raises GarError STALE_FRAME for an image older than `max_age` seconds. what: names the image in the error."""
        age = (now - frame.stamp_ns) / 1e9
        if age > max_age:
            raise GarError(ErrorCode.STALE_FRAME, f"{what} is {age:.2f} s old, but max_age is {max_age:g} s")
        if age < -max_age:
            raise GarError(
                ErrorCode.STALE_FRAME,
                f"{what} is stamped {-age:.2f} s in the future, but max_age is {max_age:g} s: check use_sim_time and "
                "the clocks of camera and robot",
            )


def check_different(ids: Sequence[str]) -> None:
    """Raises GarError INVALID_REQUEST for a region id that is named twice."""
    if len(set(ids)) < len(ids):
        raise GarError(ErrorCode.INVALID_REQUEST, f"region ids must differ, got {list(ids)}")


def _check_known(ids: Sequence[str], frame: Frame) -> None:
    """Raises GarError UNKNOWN_REGION for an id that the frame lacks; the error lists the ids that it has."""
    known = _ids(frame)
    for region_id in ids:
        if region_id not in known:
            listed = ", ".join(known[:20]) + (f", ... ({len(known)} in all)" if len(known) > 20 else "")
            raise GarError(
                ErrorCode.UNKNOWN_REGION, f"no region '{region_id}' in the image; there are: {listed or 'none'}"
            )


def _regions(frame: Frame, ids: Sequence[str], named: bool) -> tuple[Region, ...]:
    """The regions of a frame out of these ids. named: raises GarError for one that can't be asked about."""
    if not named or frame.regions is None:
        return tuple(region for region in askable(frame) if region.id in ids)
    known = frame.regions.ids()
    return tuple(frame.regions.region(region_id) for region_id in ids if region_id in known)


def _shows(frame: Frame, ids: Sequence[str]) -> bool:
    return set(ids) <= set(_ids(frame))


def _ids(frame: Frame) -> tuple[str, ...]:
    return frame.regions.ids() if frame.regions is not None else ()


def _with_regions(request: Request) -> str:
    return " with regions" if request.needs_regions else ""


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds // 1_000_000_000}.{nanoseconds % 1_000_000_000:09d}"
