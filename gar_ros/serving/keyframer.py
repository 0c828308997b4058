# SPDX-License-Identifier: Apache-2.0
"""Makes keyframes of the newest images while the model is idle. No ROS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gar_ros.engine.cancel import CancelCheck
from gar_ros.errors import GarError
from gar_ros.frame import Frame, askable
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.keyframe_schedule import KeyframeSchedule
from gar_ros.memory.keyframes import KeyframeMemory
from gar_ros.serving.worker import Worker, background
from gar_ros.settings import Settings

TIMEOUT = 60.0
"""Seconds after which a keyframe is given up."""
CHECKS_PER_SECOND = 10.0
"""How often `make_if_due` is called, whatever the rate of the camera."""


class Keyframer:
    """Adds the newest images to `keyframes` when one is due, and says which keyframe may serve instead of an image."""

    def __init__(
        self,
        frames: FrameMemory,
        keyframes: KeyframeMemory,
        worker: Worker,
        settings: Callable[[], Settings],
        tiles: int,
        camera: str = "",
    ) -> None:
        """settings: returns the current parameters. tiles: largest number of tiles that the model takes. camera: whose
        images they are."""
        self._caller = background(camera)
        self.keyframes = keyframes
        self._frames, self._worker, self._settings, self._tiles = frames, worker, settings, tiles
        now = settings()
        period = round(1e9 / now.keyframe.rate) if now.keyframe.rate else 0
        self._schedule = KeyframeSchedule(period, now.keyframe.min_overlap) if period else None
        self._newest: Frame | None = None

    def make_if_due(self) -> None:
        """Queues the newest image to become a keyframe if one is due and the model is idle. Returns at once."""
        frame = self._frames.newest(with_regions=True)
        if frame is None or self._schedule is None or not self._worker.is_idle_for(self._caller):
            return
        regions = askable(frame)
        boxes = {region.id: region.box for region in regions}
        if not self._schedule.due(frame.stamp_ns, boxes):
            return

        went_back = self._newest is not None and frame.stamp_ns < self._newest.stamp_ns

        def work(raise_if_cancelled: CancelCheck) -> None:
            if went_back:  # a bag loops or a simulator was reset: the same stamps may come with other pixels
                self.keyframes.clear()
            self.keyframes.add(
                frame, regions, min(self._settings().request.max_tiles or self._tiles, self._tiles), raise_if_cancelled
            )
            self._frames.hold(frame)
            self._newest = frame

        try:
            self._worker.submit(work, TIMEOUT, self._caller)
        except GarError:  # deactivated meanwhile
            return
        self._schedule.made(frame.stamp_ns, boxes)

    def instead_of(self, frame: Frame, region_ids: Sequence[str]) -> Frame:
        """The newest keyframe if it may serve instead of `frame`, else `frame`.

        It may if it shows all these regions and is of the same camera and at most keyframe.max_lag older.
        """
        keyframe = self._newest
        if keyframe is None or keyframe.regions is None or keyframe.frame_id != frame.frame_id:
            return frame
        lag_ns = frame.stamp_ns - keyframe.stamp_ns
        near = 0 <= lag_ns <= self._settings().keyframe.max_lag * 1e9
        return keyframe if near and set(region_ids) <= set(keyframe.regions.ids()) else frame
