# SPDX-License-Identifier: Apache-2.0
"""What reaches the node from cameras and detectors of all kinds, and what its log says when nothing does."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode
from gar_ros.messages.headers import stamp_message, stamp_ns
from gar_ros.messages.images import image_message
from tests.system.conftest import GarStarter
from tests.system.robot import (
    PATIENCE,
    Robot,
    detected_scene,
    image_only,
    labelled_scene,
    labels_of,
    picture,
    regions_of,
    wait_for,
    wait_until,
)

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
MS = 1_000_000
SECOND = 1_000_000_000


def shifted(nanoseconds: int) -> Any:
    """A scene whose label image is stamped that much later than its image."""

    def messages(header: Header) -> list[tuple[str, Any]]:
        later = Header(frame_id="camera", stamp=stamp_message(max(stamp_ns(header.stamp) + nanoseconds, 0)))
        (topic, image), _ = labelled_scene(header)
        return [(topic, image), ("instances", image_message(labels_of(picture()), "mono8", later))]

    return messages


@pytest.mark.parametrize("reliability", ["auto", "best_effort"])
@pytest.mark.parametrize("qos", [BEST_EFFORT, RELIABLE, LATCHED], ids=["best effort", "reliable", "latched"])
def test_every_usual_publisher_matches(robot: Robot, gar: GarStarter, qos: QoSProfile, reliability: str) -> None:
    gar(**{"input.reliability": reliability})
    with robot.publishing(detected_scene, qos):
        robot.client.wait_until_ready(PATIENCE)


@pytest.mark.parametrize(
    ("publishers", "expected"),
    [
        ([RELIABLE], ReliabilityPolicy.RELIABLE),
        ([BEST_EFFORT], ReliabilityPolicy.BEST_EFFORT),
        ([RELIABLE, BEST_EFFORT], ReliabilityPolicy.BEST_EFFORT),
    ],
    ids=["reliable", "best effort", "both"],
)
def test_the_subscription_becomes_as_reliable_as_its_publishers(
    robot: Robot, gar: GarStarter, publishers: list[QoSProfile], expected: ReliabilityPolicy
) -> None:
    gar()
    for qos in publishers:
        robot.node.create_publisher(Image, "image", qos)

    def reliability() -> list[ReliabilityPolicy]:
        return [info.qos_profile.reliability for info in robot.node.get_subscriptions_info_by_topic("/image")]

    wait_until(lambda: reliability() == [expected], lambda: f"{expected}, got {reliability()}")


def test_a_reliable_subscription_matches_a_reliable_publisher(robot: Robot, gar: GarStarter) -> None:
    gar(**{"input.reliability": "reliable"})
    with robot.publishing(detected_scene, RELIABLE):
        robot.client.wait_until_ready(PATIENCE)


def test_qos_that_does_not_match_is_named_and_not_silent(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"input.reliability": "reliable", "input.check_period": 0.5})
    with robot.publishing(detected_scene, BEST_EFFORT):
        node.wait_for_log("/image has a publisher whose QoS policy 'reliability' does not match", PATIENCE)
        wait_for(robot.client.list_regions, ErrorCode.NO_FRAME, "QoS policy 'reliability'")


@pytest.mark.parametrize(
    ("encoding", "dtype"), [("mono8", np.uint8), ("mono16", np.uint16), ("16UC1", np.uint16), ("32SC1", np.int32)]
)
def test_label_images_of_every_encoding_carry_regions(
    robot: Robot, gar: GarStarter, encoding: str, dtype: type[np.generic]
) -> None:
    gar()

    def scene(header: Header) -> list[tuple[str, Any]]:
        labels = image_message(labels_of(picture()).astype(dtype), encoding, header)
        return [("image", image_message(picture(), "rgb8", header)), ("instances", labels)]

    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        assert [region.id for region in robot.client.list_regions().regions] == ["1", "7"]


def test_when_both_topics_describe_an_image_the_one_that_says_more_wins(robot: Robot, gar: GarStarter) -> None:
    gar()

    def scene(header: Header) -> list[tuple[str, Any]]:
        return [*labelled_scene(header), ("regions", regions_of(picture(), header))]

    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        stamp = robot.client.list_regions().header.stamp
        wait_until(lambda: [r.id for r in robot.client.list_regions(stamp=stamp).regions] == ["left", "right"])


def test_stamps_that_never_match_are_told_with_their_distance(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"input.check_period": 0.5})
    with robot.publishing(shifted(7 * MS)):
        node.wait_for_log("/image and /instances both arrive but not with equal stamps", PATIENCE)
        assert "the nearest are 7.000 ms apart" in node.log
        assert "set parameter 'sync.policy' to 'approximate'" in node.log


def test_approximate_pairing_takes_stamps_within_the_slop(robot: Robot, gar: GarStarter) -> None:
    gar(**{"sync.policy": "approximate", "sync.slop": 0.02})
    with robot.publishing(shifted(7 * MS)):
        robot.client.wait_until_ready(PATIENCE)


def test_regions_for_another_image_size_are_told(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"input.check_period": 0.5})

    def scene(header: Header) -> list[tuple[str, Any]]:
        return [("image", image_message(picture(640, 480), "rgb8", header)), ("regions", regions_of(picture(), header))]

    with robot.publishing(scene):
        node.wait_for_log("they are for an image of 320x240 px, the image of that stamp has 640x480 px", PATIENCE)


def test_an_image_that_nobody_can_read_is_told(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"input.check_period": 0.5})

    def scene(header: Header) -> list[tuple[str, Any]]:
        image = image_message(picture(), "jpeg2000", header)
        return [("image", image)]

    with robot.publishing(scene):
        node.wait_for_log("messages on /image are refused: image: expected one of the encodings rgb8", PATIENCE)
        wait_for(robot.client.list_regions, ErrorCode.NO_FRAME, "got 'jpeg2000'")


def test_images_that_were_never_stamped_are_told(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"input.check_period": 0.5})
    with robot.publishing(labelled_scene, stamps=lambda: 0):
        node.wait_for_log("messages on /image are refused: header.stamp is zero", PATIENCE)
        wait_for(robot.client.list_regions, ErrorCode.NO_FRAME, "header.stamp is zero")


def test_time_that_goes_back_starts_over(robot: Robot, gar: GarStarter) -> None:
    """As when a bag loops."""
    node = gar(**{"request.max_age": 1e5})
    start = robot.node.get_clock().now().nanoseconds
    loop = itertools.cycle(range(30))
    with robot.publishing(labelled_scene, stamps=lambda: start + next(loop) * SECOND // 10):
        robot.client.wait_until_ready(PATIENCE)
        node.wait_for_log("went back in time: starting over", PATIENCE)
        robot.client.wait_until_ready(PATIENCE)
        assert stamp_ns(robot.client.list_regions().header.stamp) - start < 3 * SECOND


def test_stamps_from_another_clock_are_refused_with_a_hint(robot: Robot, gar: GarStarter) -> None:
    gar()
    ahead = robot.node.get_clock().now().nanoseconds + 3600 * SECOND
    ticks = itertools.count()
    with robot.publishing(labelled_scene, stamps=lambda: ahead + next(ticks) * SECOND // 10):
        message = wait_for(robot.client.list_regions, ErrorCode.STALE_FRAME)
    assert "s in the future" in message
    assert "use_sim_time" in message


def test_simulated_time_counts_once_it_runs(robot: Robot, gar: GarStarter) -> None:
    gar(use_sim_time="true")
    start = 5000 * SECOND
    ticks = itertools.count()

    def scene_with_clock(header: Header) -> list[tuple[str, Any]]:
        return [("/clock", Clock(clock=header.stamp)), *labelled_scene(header)]

    with robot.publishing(labelled_scene, stamps=lambda: start + next(ticks) * SECOND // 10):
        assert "check use_sim_time" in wait_for(robot.client.list_regions, ErrorCode.STALE_FRAME)
    with robot.publishing(scene_with_clock, stamps=lambda: start + next(ticks) * SECOND // 10):
        robot.client.wait_until_ready(PATIENCE)
        age = robot.client.list_regions().age
    assert age.sec == 0


def test_a_detector_that_dies_is_told_from_a_camera_that_dies(robot: Robot, gar: GarStarter) -> None:
    gar(**{"request.max_age": 1.0, "sync.policy": "approximate", "sync.slop": 1.0})
    with robot.publishing(image_only):
        with robot.publishing(lambda header: detected_scene(header)[1:]):
            robot.client.wait_until_ready(PATIENCE)
        # The frame may be stale a moment before the topic counts as silent.
        assert "/image" not in wait_for(robot.client.list_regions, ErrorCode.STALE_FRAME, "/regions")
