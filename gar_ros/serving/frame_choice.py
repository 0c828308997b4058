"""Which images a question about the past speaks of. No ROS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.region import Region
from gar_ros.settings import Settings


class Past:
    """Finds images that are kept. settings: the parameters as they are now. why_no_input: see Server."""

    def __init__(
        self,
        most_images: int,
        frames: FrameMemory,
        tracks: TrackMemory | None,
        settings: Callable[[], Settings],
        why_no_input: Callable[[], str],
    ) -> None:
        """most_images: that one question can be about. tracks: None where nothing is tracked."""
        self._most, self._frames, self._tracks = most_images, frames, tracks
        self._settings, self._why_no_input = settings, why_no_input

    def then(self, ago: float) -> Frame:
        """The image with regions nearest to `ago` seconds before the newest. Raises GarError NO_FRAME."""
        kept = self._frames.history()
        if not kept:
            raise GarError(ErrorCode.NO_FRAME, f"no image with regions has arrived yet: {self._why_no_input()}")
        wanted, slop = kept[-1].stamp_ns - ago * 1e9, self._settings().past.slop
        nearest = min(kept, key=lambda frame: abs(frame.stamp_ns - wanted))
        if abs(nearest.stamp_ns - wanted) > slop * 1e9:
            ages = ", ".join(f"{(kept[-1].stamp_ns - frame.stamp_ns) / 1e9:.2f}" for frame in kept[::-1][:20])
            raise GarError(
                ErrorCode.NO_FRAME,
                f"expected an image {ago:g} s before the newest, within {slop:g} s; kept are those {ages} s before it",
            )
        return nearest

    def last_showing(self, ids: Sequence[str]) -> Frame | None:
        """The newest remembered image that shows all these regions."""
        return self._tracks.last_showing(ids) if self._tracks is not None else None

    def video(self, count: int, last: Frame, regions: Sequence[Region], ad_hoc: int) -> list[tuple[Frame, Region]]:
        """The last `count` kept images that show the only region, up to `last`, oldest first; fewer where not so many
        are kept. ad_hoc: how many regions came with the request. Raises GarError INVALID_REQUEST."""
        if len(regions) != 1 or ad_hoc or count > self._most:
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"keyframes: expected one region id and at most {self._most} images, got {len(regions)} regions, "
                f"{ad_hoc} of them ad hoc, and {count} images",
            )
        name = regions[0].id
        shown: list[tuple[Frame, Region]] = []
        for frame in self._frames.past():
            if frame.regions is not None and frame.stamp_ns < last.stamp_ns and name in frame.regions.ids():
                shown.append((frame, frame.regions.region(name)))
        return [*shown[1 - count :], (last, regions[0])]
