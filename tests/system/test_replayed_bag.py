# SPDX-License-Identifier: Apache-2.0
"""A recorded bag played through a running node, by its own clock: the answers are those of `gar annotate`."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from gar_ros.cli.main import main
from gar_ros.messages.headers import stamp_message, stamp_ns
from tests.processes import StartProcess
from tests.recorded import record_tabletop
from tests.system.robot import PATIENCE, Robot, Scene, start_gar, wait_until

QUESTION = "What colour is <Prompt0>?"
PERIOD = 0.6  # seconds between images; the bag's own does not matter to a clock that follows the messages


def played(bag: Path) -> Scene:
    """The bag's next image and label image, again and again, each after its time on /clock, as `ros2 bag play --clock`
    does; they keep their own stamps."""
    with AnyReader([bag]) as reader:
        found = [
            [("/clock", Clock(clock=stamp_message(logged))), (one.topic, deserialize_message(bytes(data), Image))]
            for one, logged, data in reader.messages()
            if one.topic != "/note"
        ]
    pairs = cycle([image + labels for image, labels in zip(found[::2], found[1::2], strict=True)])
    return lambda _: next(pairs)


def test_a_bag_gets_the_same_answers_live_and_offline(
    robot: Robot, start_process: StartProcess, tmp_path: Path
) -> None:
    bag, out = tmp_path / "tabletop", tmp_path / "answered"
    stamps = record_tabletop(bag)
    assert (
        main(["annotate", str(bag), "--out", str(out), "--question", QUESTION, "--every", "0", "--without-input"]) == 0
    )
    with AnyReader([out]) as reader:
        arrays: list[Any] = [
            reader.deserialize(data, one.msgtype) for one, _, data in reader.messages() if "answers" in one.topic
        ]
    offline = {
        (stamp_ns(answer.header.stamp), answer.region_ids[0]): answer for array in arrays for answer in array.answers
    }
    assert {stamp for stamp, _ in offline} == set(stamps)
    start_gar(start_process, None, use_sim_time="true")
    with robot.publishing(played(bag), period=PERIOD):
        robot.client.wait_until_ready(PATIENCE)  # images of years ago are fresh by the bag's clock
        live = {}

        def ask_newest() -> bool:
            listed = robot.client.list_regions()
            for region in listed.regions:
                answer = robot.client.query(QUESTION, [region.id], stamp=listed.header.stamp)
                live[stamp_ns(answer.header.stamp), region.id] = answer
            return set(live) == set(offline)

        wait_until(ask_newest, lambda: f"answers about {len(live)} of {len(offline)} regions")
    for key, answer in live.items():
        assert answer.text == offline[key].text
        assert answer.confidence == pytest.approx(offline[key].confidence, abs=1e-5)
