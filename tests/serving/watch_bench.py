# SPDX-License-Identifier: Apache-2.0
"""A watcher with its parts within reach. The engine is a fake that reads its answer off the image."""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.encoded_frame import Answer
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.prompt import Question
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.detector_ids import DetectorIds
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.passing_frames import PassingFrames
from gar_ros.memory.tracks import TrackMemory
from gar_ros.region import Region
from gar_ros.serving.frame_choice import FrameChoice
from gar_ros.serving.phrase import check_words
from gar_ros.serving.watch import End, Look, Search, Watch, WatchRequest
from gar_ros.serving.watcher import Watcher
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings
from tests.serving.test_server import Detected, S, shipped_prompts

INSIDE = "Is <Prompt0> inside <Prompt1>?"
PATIENCE = 60.0  # seconds; no test waits that long
OVER = GarError(ErrorCode.CANCELLED, "the test is over")


class Reading:
    """As GarEngine: the probability of the first choice is the image's grey level in percent."""

    parse = GarEngine.parse
    manifest = SimpleNamespace(tiles=SimpleNamespace(max_tiles=16))

    def __init__(self) -> None:
        self.prompts = shipped_prompts()
        self.encoded: list[str] = []
        self.asked: list[str] = []
        self.error: BaseException | None = None
        self.at_ask = lambda: None

    def encode(
        self, image: NDArray[np.uint8], regions: Sequence[Region], max_tiles: int, raise_if_cancelled: CancelCheck
    ) -> SimpleNamespace:
        level, ids = int(image[0, 0, 0]), " ".join(region.id for region in regions)
        self.encoded.append(f"{level}: {ids}")

        def ask(question: Question, raise_if_cancelled: CancelCheck) -> Answer:
            self.at_ask()
            raise_if_cancelled()
            if self.error is not None:
                raise self.error
            self.asked.append(f"{level}: {ids}")
            rest = (1 - level / 100) / (len(question.choices) - 1)
            probabilities = (level / 100, *[rest] * (len(question.choices) - 1))
            return Answer(question.choices[0], (), 0, probabilities)

        return SimpleNamespace(ask=ask, nbytes=0)


class Bench:
    """A watcher with its parts within reach, on a clock that stands still."""

    def __init__(self) -> None:
        self.engine, self.frames = Reading(), FrameMemory(8)
        self.tracks = TrackMemory(DetectorIds(2 * S), 1, 2 * S, 100, 4)
        self.defects: list[BaseException] = []
        self.worker = Worker(4, self.defects.append)
        self.worker.accept()
        self.settings = Settings.of({"watch.most": 3, "watch.least_probability": 0.7, "watch.rate": 10.0})
        self.now = 0.0
        self.looks: list[Look] = []
        self.ends: list[End] = []
        engine = cast(GarEngine, self.engine)
        choice = FrameChoice(self.frames, self.tracks, lambda: self.settings, lambda: round((100 + self.now) * S))
        self.encoded = EncodedMemory(engine, 2)
        self.passing = PassingFrames(engine, self.encoded)
        depth = DepthMemory(8, slop_ns=0)
        self.watcher = Watcher(
            engine, choice, self.tracks, self.passing, depth, self.worker, lambda: self.settings, search_for,
            clock=lambda: self.now,
        )  # fmt: skip
        self.watcher.accept()

    def show(self, percent: int, *ids: str, after: float = 0.1) -> None:
        """The next image, `after` seconds later, and all looks at it."""
        self.add(percent, *ids, after=after)
        self.look()

    def add(self, percent: int, *ids: str, after: float = 0.1) -> None:
        """The next image alone."""
        self.now += after
        image = np.full((4, 4, 3), percent, np.uint8)
        frame = Frame(round((100 + self.now) * S), "camera", (4, 4), lambda: image, Detected(*ids))
        self.frames.add(self.tracks.follow(frame))

    def look(self) -> None:
        """What the timer does, until its work is done."""
        self.watcher.look_if_due()
        if self.watcher._job is not None:
            with suppress(GarError):
                self.watcher._job.result()

    def watch(self, *ids: str, **fields: Any) -> Watch:
        request = WatchRequest(region_ids=ids, **{"question": INSIDE, **fields})
        return self.watcher.begin(request, self.looks.append, self.ends.append)

    def refusal(self, *ids: str, **fields: Any) -> ErrorCode:
        with pytest.raises(GarError) as caught:
            self.watch(*ids, **fields)
        return caught.value.code

    @property
    def end(self) -> tuple[ErrorCode, float]:
        """The code of the only end, and the second of the answer's image."""
        (end,) = self.ends
        if isinstance(end, GarError):
            return end.code, math.nan
        return ErrorCode.OK, round(end.stamp_ns / S - 100, 3)


def search_for(words: str) -> Search:
    """Finds the region whose id the words end with; asks as many questions as the image has regions."""
    check_words(words)

    def search(
        frame: Frame, taken: Collection[str], raise_if_cancelled: CancelCheck
    ) -> Generator[None, None, str | None]:
        assert frame.regions is not None
        for region_id in frame.regions.ids():
            yield
            if words.endswith(region_id.partition("#")[0]) and region_id not in taken:
                return region_id
        return None

    return search
