# SPDX-License-Identifier: Apache-2.0
"""Keyframes are made while the model is free, and serve instead of an image that is a little newer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, Sighting
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.keyframes import KeyframeMemory
from gar_ros.region import Region
from gar_ros.serving.keyframer import Keyframer
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings
from tests.memory.test_keyframes import MANY, SECOND, NumberedEngine

SETTINGS = Settings.of(
    {"features.mode": "shared", "keyframe.rate": 1.0, "keyframe.min_overlap": 0.6, "keyframe.max_lag": 0.5}
)


class Boxes:
    """Regions of an 8 x 4 image, by id and left edge; one without pixels is not asked about."""

    def __init__(self, lefts: dict[str, int]) -> None:
        self._lefts = lefts

    def ids(self) -> tuple[str, ...]:
        return tuple(self._lefts)

    def region(self, region_id: str) -> Region:
        left = self._lefts[region_id]
        return Region.from_box(region_id, (left, 0, left + 4, 4), (8, 4))

    def sightings(self, boxes: bool) -> list[Sighting]:
        return [Sighting(name) for name in self.ids()]


def frame(second: float, **lefts: int) -> Frame:
    return Frame(round(second * SECOND), "camera", (8, 4), lambda: np.zeros((4, 8, 3), np.uint8), Boxes(lefts))


class Robot:
    """Frame memory, worker and keyframer around a stand-in for the engine."""

    def __init__(self) -> None:
        self.engine = NumberedEngine()
        self.frames = FrameMemory(10)
        self.worker = Worker(4, lambda error: pytest.fail(str(error)))
        self.worker.accept()
        keyframes = KeyframeMemory(cast(GarEngine, self.engine), MANY)
        self.keyframer = Keyframer(self.frames, keyframes, self.worker, lambda: SETTINGS, tiles=4)

    def show(self, newest: Frame) -> int:
        """Shows it an image; the number of vision passes so far."""
        self.frames.add(newest)
        self.keyframer.make_if_due()
        self.worker.submit(lambda check: None, 10).result()  # comes after the keyframe
        return self.engine.passes


@pytest.fixture
def robot() -> Iterator[Robot]:
    made = Robot()
    yield made
    made.worker.close(GarError(ErrorCode.CANCELLED, "the test is over"))


def test_new_changed_and_old_images_become_keyframes(robot: Robot) -> None:
    assert robot.show(frame(1.0, a=0)) == 1
    assert robot.show(frame(1.1, a=0)) == 1
    assert robot.show(frame(1.2, a=0, b=4)) == 2
    assert robot.show(frame(1.3, a=2, b=4)) == 3
    assert robot.show(frame(2.4, a=2, b=4)) == 4
    assert robot.show(frame(2.5, empty=9)) == 4


def test_a_busy_model_makes_no_keyframes(robot: Robot) -> None:
    free = threading.Event()
    job = robot.worker.submit(lambda check: free.wait(10), 10)
    robot.frames.add(frame(1.0, a=0))
    robot.keyframer.make_if_due()
    free.set()
    assert job.result()
    assert robot.show(frame(1.1, a=0)) == 1, "only the second check made one"


def test_a_keyframe_serves_for_images_that_are_a_little_newer(robot: Robot) -> None:
    keyframe = frame(1.0, a=0, b=4)
    robot.show(keyframe)
    near, far, earlier = frame(1.4, a=0, c=4), frame(1.6, a=0), frame(0.9, a=0)
    assert robot.keyframer.instead_of(near, ["a"]) is keyframe
    assert robot.keyframer.instead_of(near, ["c"]) is near, "the keyframe doesn't show it"
    assert robot.keyframer.instead_of(far, ["a"]) is far
    assert robot.keyframer.instead_of(earlier, ["a"]) is earlier
    other = replace(near, frame_id="other camera")
    assert robot.keyframer.instead_of(other, ["a"]) is other


def test_stamps_that_go_back_clear_the_keyframes(robot: Robot) -> None:
    first = frame(5.0, a=0)
    robot.show(first)
    assert robot.keyframer.keyframes.find(first, [Boxes({"a": 0}).region("a")], 4)
    robot.frames.clear()
    robot.show(frame(1.0, a=0))
    assert robot.keyframer.keyframes.usage.keyframes == 1
