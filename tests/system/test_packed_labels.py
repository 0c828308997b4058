# SPDX-License-Identifier: Apache-2.0
"""Label images that pack class and instance, renumbered in every image, at a living node."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode
from gar_ros.messages.images import image_message
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Mailbox, Robot, labels_of, picture, wait_for, wait_until

PACKED = {"input.label_packing": "class_instance", "input.class_names": ["", "mug", "", "bowl"]}
MUG, BOWL = 1, 3


class Renumbering:
    """A detector of a mug and a bowl that counts its instances anew in every image, now from the left, now from the
    right. In every third image it doesn't see the bowl."""

    def __init__(self, encoding: str = "32SC1") -> None:
        self._images, self._encoding = count(), encoding

    def __call__(self, header: Header) -> list[tuple[str, Any]]:
        found, number = labels_of(picture()), next(self._images)
        first, second = (1, 2) if number % 2 else (2, 1)
        packed = np.zeros(found.shape, np.int32)
        packed[found == 1] = MUG << 16 | first
        packed[found == 7] = 0 if number % 3 == 0 else BOWL << 16 | second
        kind = np.int32 if self._encoding == "32SC1" else np.uint16
        return [
            ("image", image_message(picture(), "rgb8", header)),
            ("instances", image_message(packed.astype(kind), self._encoding, header)),
        ]


def test_renumbered_instances_keep_their_ids_and_have_their_classes_names(robot: Robot, gar: GarStarter) -> None:
    pytest.importorskip("similari", reason="similari-trackers-rs is not installed (no wheels for Python 3.13)")
    gar(**PACKED, **{"tracking.method": "similari", "diagnostics.rate": 5.0})
    seen: set[tuple[str, str]] = set()
    stamps: set[tuple[int, int]] = set()

    def many_images() -> bool:
        listed = robot.client.list_regions()
        stamps.add((listed.header.stamp.sec, listed.header.stamp.nanosec))
        seen.update((region.id, region.label) for region in listed.regions)
        return len(stamps) > 10

    with robot.publishing(Renumbering()):
        robot.client.wait_until_ready(PATIENCE)
        wait_until(many_images, lambda: f"{len(stamps)} images")
        assert len(seen) == 2, "the mug and the bowl, each under one id"
        assert {label for _, label in seen} == {"mug", "bowl"}
        (mug,) = [region_id for region_id, label in seen if label == "mug"]
        assert robot.client.query("What is <Prompt0>?", [mug], max_tokens=1).region_ids == [mug]
        health = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10)).wait().status[0]
        assert health.level == DiagnosticStatus.OK, f"no complaint of missing ids, got {health.message}"


def test_without_association_each_is_another_object_and_that_is_told(robot: Robot, gar: GarStarter) -> None:
    node = gar(**PACKED)
    with robot.publishing(Renumbering()):
        robot.client.wait_until_ready(PATIENCE)
        node.wait_for_log("set parameter tracking.method to similari", PATIENCE)


def test_an_image_that_can_not_be_packed_is_refused(robot: Robot, gar: GarStarter) -> None:
    gar(**PACKED)
    with robot.publishing(Renumbering("16UC1")):
        message = wait_for(
            robot.client.list_regions, ErrorCode.NO_FRAME, "expected a label image with more than 16 bits"
        )
    assert "/instances" in message
    assert "got encoding '16UC1'" in message
