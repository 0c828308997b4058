# SPDX-License-Identifier: Apache-2.0
"""Tracks of a running node, over DDS; detectors and clocks that misbehave."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.memory.tracks import TrackState
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import image_message
from gar_ros.messages.regions import region_array_message
from gar_ros.msg import Region as RegionMessage
from gar_ros.msg import TrackArray
from gar_ros.region import Region
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, detected_scene, picture, refusal, wait_until

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
QUESTION = "What is <Prompt0>?"
BOXES = {"left": (40, 80, 100, 140), "right": (200, 80, 260, 140)}


class Table:
    """A scene whose regions can be taken away and given other ids: two squares, left and right, and many small ones."""

    def __init__(self, many: int = 0) -> None:
        self.shown: dict[str, str] = {"left": "1", "right": "2"}
        self.many = many

    def __call__(self, header: Header) -> list[tuple[str, Any]]:
        regions = [Region.from_box(name, BOXES[place], (320, 240), place) for place, name in self.shown.items()]
        regions += [Region.from_box(f"m{n}", (n, 0, n + 9, 9), (320, 240)) for n in range(self.many)]
        image = image_message(picture(), "rgb8", header)
        return [("image", image), ("regions", region_array_message(regions, (320, 240), header))]


def states(robot: Robot) -> dict[str, int]:
    return {track.id: track.state for track in robot.client.list_regions().tracks}


def test_a_region_out_of_view_is_remembered_and_asked_about_in_its_last_image(robot: Robot, gar: GarStarter) -> None:
    gar(**{"tracking.lost_after": 1.0})
    table = Table()
    with robot.publishing(table):
        robot.client.wait_until_ready(PATIENCE)
        latched = Mailbox(robot, TrackArray, "/gar/tracks", LATCHED)
        wait_until(lambda: {track.id for track in latched.wait().tracks} == {"1", "2"})
        wait_until(lambda: all(track.frames > 1 for track in robot.client.list_regions().tracks))
        table.shown = {"right": "2"}
        wait_until(lambda: states(robot).get("1") == TrackState.LOST, lambda: str(states(robot)))
        listed = robot.client.list_regions()
        assert [region.id for region in listed.regions] == ["2"]
        assert [track.id for track in listed.tracks] == ["2", "1"], "those in the image first"
        lost = listed.tracks[1]
        assert robot.client.query(QUESTION, ["1"], max_tokens=1).header.stamp == lost.last_seen
        assert lost.frames > 1 and stamp_ns(lost.first_seen) < stamp_ns(lost.last_seen)
        assert (lost.label, lost.detector_id) == ("left", "1")
        table.shown = {"left": "1", "right": "2"}
        wait_until(lambda: "1#2" in states(robot), lambda: str(states(robot)))


def test_a_detector_that_restarts_and_counts_anew_names_other_objects(robot: Robot, gar: GarStarter) -> None:
    gar()
    table = Table()
    with robot.publishing(table):
        robot.client.wait_until_ready(PATIENCE)
        table.shown = {"right": "1", "left": "2"}
        wait_until(lambda: {"1#2", "2#2"} <= set(states(robot)), lambda: str(states(robot)))
        listed = robot.client.list_regions()
        assert {region.id: region.label for region in listed.regions} == {"1#2": "right", "2#2": "left"}
        before = robot.client.query(QUESTION, ["1"], max_tokens=1)
        assert stamp_ns(before.header.stamp) < stamp_ns(listed.header.stamp), "of an image before the restart"


def test_a_detector_without_ids_is_followed(robot: Robot, gar: GarStarter) -> None:
    pytest.importorskip("similari", reason="similari-trackers-rs is not installed (no wheels for Python 3.13)")
    gar(**{"tracking.method": "similari"})
    table = Table()
    with robot.publishing(table):
        robot.client.wait_until_ready(PATIENCE)
        first = {track.label: track.id for track in robot.client.list_regions().tracks}
        assert len(set(first.values())) == 2
        table.shown = {"right": "1", "left": "2"}  # the detector counts anew

        def renamed() -> bool:
            return {t.label: t.detector_id for t in robot.client.list_regions().tracks} == {"right": "1", "left": "2"}

        wait_until(renamed)
        assert {track.label: track.id for track in robot.client.list_regions().tracks} == first
        assert robot.client.query(QUESTION, [first["left"]], max_tokens=1).region_ids == [first["left"]]


def test_the_past_is_asked_about_by_time_and_as_a_video(robot: Robot, gar: GarStarter) -> None:
    gar(**{"past.rate": 10.0, "past.images_kept": 100})
    with robot.publishing(detected_scene):
        robot.client.wait_until_ready(PATIENCE)
        start = stamp_ns(robot.client.list_regions().header.stamp)
        wait_until(lambda: stamp_ns(robot.client.list_regions().header.stamp) > start + 1_500_000_000)
        newest = [stamp_ns(robot.client.list_regions().header.stamp)]
        then = robot.client.query(QUESTION, ["left"], max_tokens=1, ago=1.0)
        newest.append(stamp_ns(robot.client.list_regions().header.stamp))
        assert newest[0] - 1_500_000_000 <= stamp_ns(then.header.stamp) <= newest[1] - 500_000_000, "within past.slop"
        assert list(then.stamps) == [then.header.stamp]
        video = robot.client.query(QUESTION, ["left"], max_tokens=1, keyframes=3)
        stamps = [stamp_ns(stamp) for stamp in video.stamps]
        assert stamps == sorted(set(stamps)) and len(stamps) == 3
        assert video.stamps[-1] == video.header.stamp
        code, message = refusal(lambda: robot.client.query(QUESTION, ["left"], ago=900.0))
        assert code is ErrorCode.NO_FRAME and "900 s before" in message


def test_stamps_that_jump_back_lose_tracks_but_no_answer(robot: Robot, gar: GarStarter) -> None:
    gar(**{"request.max_age": 1e5})
    offset, lock = 0, threading.Lock()

    def stamps() -> int:
        with lock:
            return int(robot.node.get_clock().now().nanoseconds) + offset

    with robot.publishing(Table(), stamps=stamps):
        robot.client.wait_until_ready(PATIENCE)
        assert set(states(robot)) == {"1", "2"}
        with lock:
            offset = -60_000_000_000

        def started_over() -> bool:
            try:
                return set(states(robot)) == {"1#2", "2#2"}
            except GarError:  # between the first image and its regions
                return False

        wait_until(started_over)
        assert robot.client.query(QUESTION, ["1#2"], max_tokens=1).region_ids == ["1#2"]


def test_two_hundred_regions_in_a_frame(robot: Robot, gar: GarStarter) -> None:
    gar(**{"request.max_age": 30.0})
    with robot.publishing(Table(many=198), period=1.0):
        robot.client.wait_until_ready(PATIENCE)
        listed = robot.client.list_regions(timeout=PATIENCE)
        assert len(listed.regions) == len(listed.tracks) == 200
        assert robot.client.query(QUESTION, ["m197"], max_tokens=1, timeout=PATIENCE).region_ids == ["m197"]
        graph = robot.client.scene_graph(predicates=["inside"], max_pairs=6, timeout=PATIENCE)
        assert graph.asked == 6 and not graph.complete


def test_images_whose_size_changes_have_their_own_regions(robot: Robot, gar: GarStarter) -> None:
    gar()
    size = (320, 240)

    def scene(header: Header) -> list[tuple[str, Any]]:
        now = size
        image = image_message(np.full((now[1], now[0], 3), 90, np.uint8), "rgb8", header)
        regions = [Region.from_box("1", (10, 10, 60, 60), now)]
        return [("image", image), ("regions", region_array_message(regions, now, header))]

    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        for size in ((640, 480), (320, 240)):
            wait_until(lambda wanted=size[0]: _width(robot) == wanted)  # type: ignore[misc]
            assert robot.client.query(QUESTION, ["1"], max_tokens=1).region_ids == ["1"]


def test_two_detectors_on_one_topic_are_told_of(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"input.check_period": 0.5})
    with robot.publishing(Table()), robot.publishing(Table()):
        robot.client.wait_until_ready(PATIENCE)
        node.wait_for_log("/regions has 2 publishers", PATIENCE)
        assert robot.client.query(QUESTION, ["1"], max_tokens=1).region_ids == ["1"]


def _width(robot: Robot) -> int:
    """Of the newest image: a region at the right of a large one lies outside of a small one."""
    corner = RegionMessage(id="corner")
    corner.box.x_offset, corner.box.y_offset, corner.box.width, corner.box.height = 500, 400, 50, 50
    try:
        robot.client.query(QUESTION, regions=[corner], max_tokens=1)
    except GarError as error:
        if error.code is ErrorCode.EMPTY_MASK:
            return 320
        raise
    return 640
