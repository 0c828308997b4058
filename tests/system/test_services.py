# SPDX-License-Identifier: Apache-2.0
"""The services of a running node, over DDS, with a real model."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, RegionOfInterest

from gar_ros.errors import ErrorCode
from gar_ros.messages.encodings import image_array
from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.regions import region_of
from gar_ros.msg import AnswerArray
from gar_ros.msg import Region as RegionMessage
from tests.system.conftest import GarStarter
from tests.system.robot import (
    PATIENCE,
    Mailbox,
    Robot,
    detected_scene,
    image_only,
    labelled_scene,
    labels_of,
    picture,
    refusal,
    wait_for,
    wait_until,
)

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def test_a_planner_asks_about_what_a_label_image_shows(robot: Robot, gar: GarStarter) -> None:
    gar()
    client = robot.client
    with robot.publishing(labelled_scene):
        client.wait_until_ready(PATIENCE)

        listed = client.list_regions(with_masks=True)
        assert [region.id for region in listed.regions] == ["1", "7"]
        assert listed.header.frame_id == "camera"
        masks = [region_of(region, (320, 240), 0).mask for region in listed.regions]
        assert (masks[0] == (labels_of(picture()) == 1)).all()

        closed = client.query(
            "Is <Prompt0> left of <Prompt1>?", ["1", "7"], choices=["yes", "no"], stamp=listed.header.stamp
        )
        assert closed.header == listed.header
        assert closed.text == closed.choices[closed.choice]
        assert sum(closed.probabilities) == pytest.approx(1.0)
        assert closed.confidence == pytest.approx(max(closed.probabilities))
        assert (closed.region_ids, closed.generated_tokens) == (["1", "7"], 0)

        wait_until(lambda: stamp_ns(client.list_regions().header.stamp) > stamp_ns(listed.header.stamp))
        opened = client.query("What colour is <Prompt0>?", ["7"], max_tokens=4)
        assert (opened.choice, list(opened.probabilities), list(opened.choices)) == (-1, [], [])
        assert (opened.generated_tokens, opened.complete) == (4, False)
        assert 0.0 <= opened.confidence <= 1.0
        assert opened.latency.sec + opened.latency.nanosec > 0
        assert stamp_ns(opened.header.stamp) > stamp_ns(listed.header.stamp)

        box = RegionMessage(id="there", box=RegionOfInterest(x_offset=40, y_offset=80, width=60, height=60))
        mixed = client.query("<Prompt0> or <Prompt1>?", ["7"], regions=[box], max_tokens=2)
        assert mixed.region_ids == ["7", "there"]

        described = client.describe(max_tokens=3)
        assert [answer.region_ids for answer in described] == [["1"], ["7"]]


def test_the_same_request_on_the_same_image_gives_the_same_answer(robot: Robot, gar: GarStarter) -> None:
    gar()
    with robot.publishing(detected_scene):
        robot.client.wait_until_ready(PATIENCE)
        first = robot.client.query("What is <Prompt0>?", ["left"], max_tokens=8)
        again = robot.client.query("What is <Prompt0>?", ["left"], max_tokens=8, stamp=first.header.stamp)
    assert (again.text, again.confidence, again.header) == (first.text, first.confidence, first.header)


def test_a_detectors_names_and_scores_are_listed(robot: Robot, gar: GarStarter) -> None:
    gar()
    with robot.publishing(detected_scene):
        robot.client.wait_until_ready(PATIENCE)
        left, right = robot.client.list_regions().regions
    assert (left.id, left.label, left.score) == ("left", "square", pytest.approx(0.9))
    assert (right.id, right.label) == ("right", "")
    assert np.isnan(right.score)
    assert (left.box.x_offset, left.box.y_offset, left.box.width, left.box.height) == (40, 80, 60, 60)


def test_a_camera_alone_serves_boxes_that_come_with_the_request(robot: Robot, gar: GarStarter) -> None:
    gar()
    box = RegionMessage(box=RegionOfInterest(x_offset=40, y_offset=80, width=60, height=60))
    with robot.publishing(image_only):
        expected = "no image with regions has arrived yet: nobody publishes /regions; nobody publishes /instances"
        wait_until(lambda: refusal(robot.client.list_regions) == (ErrorCode.NO_FRAME, expected))
        answer = robot.client.query("What is <Prompt0>?", regions=[box], max_tokens=2)
    assert answer.region_ids == ["request:0"]


def test_wrong_requests_are_refused_with_their_code(robot: Robot, gar: GarStarter) -> None:
    gar()
    client = robot.client
    empty = RegionMessage(id="empty", box=RegionOfInterest(x_offset=9, y_offset=9))
    lying = RegionMessage(id="lying", mask=Image(width=320, height=240, encoding="mono8", step=320, data=[1]))
    with robot.publishing(labelled_scene):
        client.wait_until_ready(PATIENCE)
        assert refusal(lambda: client.query("<Prompt0>?", ["mug"])) == (
            ErrorCode.UNKNOWN_REGION,
            "no region 'mug' in the image; there are: 1, 7",
        )
        assert refusal(lambda: client.query("<Prompt1>?", ["1"]))[0] is ErrorCode.PROMPT_WITHOUT_REGION
        assert refusal(lambda: client.query("<Prompt0>?", regions=[empty]))[0] is ErrorCode.EMPTY_MASK
        code, message = refusal(lambda: client.query("<Prompt0>?", regions=[lying]))
        assert code is ErrorCode.INVALID_REQUEST
        assert "region 'lying': mask: image: expected 320 x 240 bytes of data, got 1" in message
        six = [RegionMessage(id=name, box=RegionOfInterest(width=9, height=9)) for name in "abcdef"]
        assert refusal(lambda: client.query("<Prompt0>?", regions=six))[0] is ErrorCode.TOO_MANY_REGIONS
        assert refusal(lambda: client.query("", ["1"]))[0] is ErrorCode.INVALID_REQUEST
        assert refusal(lambda: client.query("<Prompt0>?", ["1"], choices=["one"]))[0] is ErrorCode.INVALID_REQUEST
        assert refusal(lambda: client.query("word " * 5000, ["1"]))[0] is ErrorCode.QUESTION_TOO_LONG
        assert refusal(lambda: client.query("<Prompt0>?", ["1"], max_age=float("nan")))[0] is ErrorCode.INVALID_REQUEST
        assert client.query("still alive, <Prompt0>?", ["1"], max_tokens=1).generated_tokens == 1


def test_a_dead_camera_is_noticed(robot: Robot, gar: GarStarter) -> None:
    gar(**{"request.max_age": 1.0})
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
    message = wait_for(lambda: robot.client.query("<Prompt0>?", ["1"], max_tokens=1), ErrorCode.STALE_FRAME)
    assert "s old, but max_age is 1 s" in message
    wait_for(robot.client.list_regions, ErrorCode.STALE_FRAME, "nobody publishes /image")


def test_two_planners_at_once_both_get_their_own_answers(robot: Robot, gar: GarStarter) -> None:
    gar()
    with robot.publishing(labelled_scene), ThreadPoolExecutor(2) as planners:
        robot.client.wait_until_ready(PATIENCE)
        calls = [
            planners.submit(robot.client.query, "<Prompt0>?", [region_id], max_tokens=2, timeout=PATIENCE)
            for region_id in ("1", "7", "1", "7")
        ]
        assert [call.result().region_ids for call in calls] == [["1"], ["7"], ["1"], ["7"]]


def test_a_full_queue_and_a_short_timeout_are_answered_while_the_model_works(
    robot: Robot, slow_gar: GarStarter
) -> None:
    slow_gar(**{"request.queue_size": 1})
    client = robot.client
    with robot.publishing(labelled_scene), ThreadPoolExecutor(3) as planners:
        client.wait_until_ready(PATIENCE)
        writes = threading.Event()
        long = planners.submit(
            client.stream, "<Prompt0>?", ["1"], lambda text: writes.set(), max_tokens=400, timeout=PATIENCE
        )
        assert writes.wait(PATIENCE), "the model works on the long answer"
        message = wait_for(lambda: client.query("<Prompt0>?", ["1"], timeout=0.2), ErrorCode.TIMED_OUT)
        assert message == "no answer within 0.2 s; retry later or with a longer timeout"
        assert client.list_regions().error_code == ErrorCode.OK  # needs no model and waits for nobody

        two = [planners.submit(client.query, "<Prompt0>?", ["1"], max_tokens=1, timeout=PATIENCE) for _ in range(2)]
        refused = [call for call in two if call.exception(PATIENCE)]
        assert len(refused) == 1, "one waits, one finds the queue full"
        assert refusal(refused[0].result) == (
            ErrorCode.QUEUE_FULL,
            "the queue is full (1 of 1 waiting); retry later or raise request.queue_size",
        )
        assert long.result().generated_tokens > 100
        assert {call.result().generated_tokens for call in two if call not in refused} == {1}


def test_answers_are_latched_and_drawn_on_the_image_they_speak_of(robot: Robot, gar: GarStarter) -> None:
    gar(**{"overlay.rate": 10})
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        robot.client.query("What is <Prompt0>?", ["1"], choices=["red", "blue"])
        robot.client.query("What is <Prompt0>?", ["7"], choices=["red", "blue"])
        latched = Mailbox(robot, AnswerArray, "/gar/answers", LATCHED).wait()
        assert [answer.region_ids for answer in latched.answers] == [["1"], ["7"]]

        overlay = Mailbox(robot, Image, "/gar/overlay", QoSProfile(depth=1)).wait()
        assert (overlay.encoding, overlay.width, overlay.height) == ("rgb8", 320, 240)
        assert overlay.header.frame_id == "camera"
        assert stamp_ns(overlay.header.stamp) > 0
        changed = (image_array(overlay) != picture()).any(axis=2)
        assert changed[labels_of(picture()) > 0].all()
        assert not changed.all()
