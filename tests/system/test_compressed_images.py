# SPDX-License-Identifier: Apache-2.0
"""Compressed camera images that say odd things about themselves, and a node that goes on serving."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode
from gar_ros.messages.arrays import as_bytes
from tests.messages.pictures import mosaic_of
from tests.system.conftest import GarStarter
from tests.system.robot import PATIENCE, Robot, Scene, labelled_scene, picture, wait_for


def scene_of(format: str, data: bytes) -> Scene:
    """The compressed image and its label image."""

    def scene(header: Header) -> list[tuple[str, Any]]:
        image = CompressedImage(header=header, format=format, data=as_bytes(np.frombuffer(data, np.uint8)))
        return [("image/compressed", image), *labelled_scene(header)[1:]]

    return scene


def test_what_can_not_be_used_is_told_and_a_mosaic_is_answered_afterwards(robot: Robot, gar: GarStarter) -> None:
    gar(**{"input.image_transport": "compressed"})
    jpeg = cv2.imencode(".jpg", picture()[..., ::-1])[1].tobytes()
    size = jpeg.index(b"\xff\xc0") + 5
    damaged = jpeg[:size] + b"\x80\xf0\x81\x40" + jpeg[size + 4 :]
    for format, data, reason in (
        ("jpeg", damaged, "the JPEG has fewer data than 33088x33008 px"),
        ("jpeg", jpeg[: len(jpeg) // 2], "the JPEG is cut off"),
        ("bayer_rggb8; jpeg compressed mono8", jpeg, "the colours of bayer_rggb8 were lost"),
    ):
        with robot.publishing(scene_of(format, data)):
            wait_for(lambda: robot.client.query("What is <Prompt0>?", ["1"]), ErrorCode.NO_FRAME, reason)
    mosaic = cv2.imencode(".png", mosaic_of(picture(), "rggb"))[1].tobytes()
    with robot.publishing(scene_of("bayer_rggb8; png compressed ", mosaic)):
        robot.client.wait_until_ready(PATIENCE)
        assert [region.id for region in robot.client.list_regions().regions] == ["1", "7"]
        assert robot.client.query("What is <Prompt0>?", ["7"], max_tokens=1).generated_tokens == 1
