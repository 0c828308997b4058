# SPDX-License-Identifier: Apache-2.0
"""What memory holds after messages of which some fail: every message costs only itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from rclpy.context import Context
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError, reason_of
from gar_ros.frame import Sighting
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.messages.headers import stamp_message
from gar_ros.messages.images import image_message
from gar_ros.messages.region_builder import RegionBuilder
from gar_ros.node.endpoints import Camera
from gar_ros.node.guard import GuardedNode
from gar_ros.node.inputs.images_and_regions import Inputs
from gar_ros.settings import Settings

SECOND = 1_000_000_000
START = 1_800_000_000 * SECOND


class PanicError(BaseException):
    """As the PanicException of libraries written in Rust, which is no Exception."""


class SameIds:
    """A tracker that calls everything as the detector does."""

    needs_boxes = False
    known = 0

    def track_ids(self, stamp_ns: int, sightings: Sequence[Sighting]) -> list[str]:
        return [sighting.detector_id for sighting in sightings]

    def clear(self) -> None:
        pass


class Memory:
    """What a node of its own remembers of the messages that its callbacks are given."""

    def __init__(self, context: Context, lifetime: ExitStack, **settings: Any) -> None:
        self.node = GuardedNode("gar", context=context)
        lifetime.callback(self.node.destroy_node)
        self.frames = FrameMemory(100)
        self.tracks = TrackMemory(SameIds(), 1, 2 * SECOND, 200, 5)
        depth = DepthMemory(10, 0, lambda frame_id, stamp_ns: None)
        self.inputs = Inputs(self.node, Settings.of(settings), self.frames, depth, self.tracks, lifetime, Camera())
        self._callbacks: dict[str, Any] = {one.topic_name: one.callback for one in self.node.subscriptions}

    def image(self, number: int) -> None:
        self._add("/image", number, np.zeros((4, 4, 3), np.uint8), "rgb8")

    def labels(self, number: int) -> None:
        self._add("/instances", number, np.ones((4, 4), np.uint8), "mono8")

    def zero_stamp(self) -> None:
        self._callbacks["/instances"](image_message(np.ones((4, 4), np.uint8), "mono8", Header()))

    def _add(self, topic: str, number: int, pixels: Any, encoding: str) -> None:
        """A message stamped so many tenths of a second after the start."""
        header = Header(stamp=stamp_message(START + number * SECOND // 10), frame_id="camera")
        self._callbacks[topic](image_message(pixels, encoding, header))

    def numbers(self, with_regions: bool) -> list[int]:
        """Of the images that are remembered."""
        return sorted((stamp - START) * 10 // SECOND for stamp in self.frames.stamps(with_regions))


@pytest.fixture
def memory(context: Context, lifetime: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory(context, lifetime)
    monkeypatch.setattr(memory.node, "count_publishers", lambda topic: int(topic != "/regions"))
    return memory


class FailsAt:
    """Calls `function` but for the n-th call, which raises."""

    def __init__(self, function: Any, number: int, error: BaseException) -> None:
        self._function, self._number, self._error = function, number, error

    def __call__(self, *arguments: Any) -> Any:
        self._number -= 1
        if self._number < 0:
            return self._function(*arguments)
        if self._number == 0:
            raise self._error
        return self._function(*arguments)


ERRORS = [ValueError("odd"), PanicError("panicked"), GarError(ErrorCode.INVALID_REQUEST, "odd")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_image_whose_regions_can_t_be_tracked_is_there_without_them(
    memory: Memory, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(memory.tracks, "follow", FailsAt(memory.tracks.follow, 2, error))
    for number in (1, 2):
        memory.image(number)
        memory.labels(number)
    assert "the regions of the newest image can't be tracked" in memory.inputs.trouble()
    assert "tracking" in memory.node.doors.failing()
    memory.image(3)
    memory.labels(3)
    assert memory.numbers(with_regions=False) == [1, 2, 3]
    assert memory.numbers(with_regions=True) == [1, 3]
    assert memory.inputs.trouble() == ""
    assert memory.node.doors.failing() == {}


def test_what_fails_in_the_node_itself_is_told_as_long_as_it_does(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory.frames, "add", FailsAt(memory.frames.add, 1, PanicError("panicked")))
    memory.image(1)
    assert memory.inputs.trouble() == "messages on /image are refused: PanicError: panicked"
    for add in (memory.image, memory.labels):
        add(2)
    assert memory.inputs.trouble() == ""
    assert memory.numbers(with_regions=True) == [2]


@pytest.mark.parametrize("image_first", [True, False])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_regions_that_can_t_be_built_cost_no_image(
    context: Context, lifetime: ExitStack, monkeypatch: pytest.MonkeyPatch, error: BaseException, image_first: bool
) -> None:
    fails = FailsAt(RegionBuilder.of_labels, 1, error)
    monkeypatch.setattr(RegionBuilder, "of_labels", lambda *arguments: fails(*arguments))
    memory = Memory(context, lifetime)
    monkeypatch.setattr(memory.node, "count_publishers", lambda topic: int(topic != "/regions"))
    order = (memory.image, memory.labels) if image_first else (memory.labels, memory.image)
    for add in order:
        add(1)
    assert memory.inputs.trouble() == f"messages on /instances are refused: {reason_of(error)}"
    assert memory.node.doors.failing().keys() == {"messages on /instances are refused"}
    for add in order:
        add(2)
    assert memory.numbers(with_regions=False) == [1, 2]
    assert memory.numbers(with_regions=True) == [2]
    assert memory.node.doors.failing() == {}


def test_a_detector_whose_image_has_left_the_queue_is_told_until_the_queue_is_long_enough(
    context: Context, lifetime: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory(context, lifetime, **{"sync.queue_size": 5})
    monkeypatch.setattr(memory.node, "count_publishers", lambda topic: int(topic != "/regions"))
    for number in range(1, 41):
        memory.image(number)
        if number > 9:
            memory.labels(number - 9)
    told = "9 images later than its own image, but only 5 images wait for their regions: set parameter "
    told += "'sync.queue_size' to 15 or"
    assert told in memory.inputs.trouble()
    assert told in memory.node.doors.failing()["messages on /instances come too late"]
    memory.labels(40)
    assert memory.inputs.trouble() == ""
    assert memory.node.doors.failing() == {}


def test_a_stamp_that_was_refused_is_no_reason_any_more_when_the_next_one_is_right(memory: Memory) -> None:
    memory.image(1)
    memory.zero_stamp()
    assert memory.inputs.trouble().startswith("messages on /instances are refused: header.stamp is zero")
    memory.labels(2)
    assert "both arrive but not with equal stamps" in memory.inputs.trouble()
    assert memory.node.doors.failing() == {}


def test_after_the_clock_jumped_ahead_or_back_images_and_regions_pair_again(memory: Memory) -> None:
    for start in (100, 100_000, 5):
        for number in range(start, start + 5):
            memory.image(number)
            memory.labels(number)
        assert start + 4 in memory.numbers(with_regions=True)
        assert memory.inputs.trouble() == ""
    assert max(memory.numbers(with_regions=True)) == 9
