# SPDX-License-Identifier: Apache-2.0
"""Whatever comes on an input topic, the node goes on serving, says what it refused, and is as before afterwards."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from PIL import Image as Picture
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.client import Client
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header, String
from visualization_msgs.msg import MarkerArray

from gar_ros.errors import GarError
from gar_ros.messages.images import image_message
from gar_ros.msg import TrackArray
from tests.garbage import garbage, spoiled
from tests.processes import ChildProcess
from tests.system.conftest import GarStarter
from tests.system.robot import (
    PATIENCE,
    Mailbox,
    Robot,
    labels_of,
    picture,
    regions_of,
    wait_until,
)

EACH = 40
"""Messages of garbage on each topic."""
OUTPUTS = {"/gar/overlay": Image, "/gar/markers": MarkerArray, "/gar/cloud": PointCloud2, "/gar/tracks": TrackArray}


def good(header: Header) -> dict[str, Any]:
    """One good message for each input topic."""
    image = picture()
    encoded = io.BytesIO()
    Picture.fromarray(image).save(encoded, "JPEG")
    camera = CameraInfo(header=header, width=320, height=240, distortion_model="plumb_bob")
    camera.d = [0.0] * 5
    camera.k = [300.0, 0.0, 160.0, 0.0, 300.0, 120.0, 0.0, 0.0, 1.0]
    camera.p = [300.0, 0.0, 160.0, 0.0, 0.0, 300.0, 120.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    points = PointCloud2(header=header, height=240, width=320, point_step=12, row_step=320 * 12)
    points.fields = [PointField(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate("xyz")]
    points.data = np.ones((240, 320, 3), np.float32).tobytes()
    return {
        "image": image_message(image, "rgb8", header),
        "image/compressed": CompressedImage(header=header, format="jpeg", data=encoded.getvalue()),
        "regions": regions_of(image, header),
        "instances": image_message(labels_of(image), "mono8", header),
        "depth": image_message(np.ones(image.shape[:2], np.float32), "32FC1", header),
        "camera_info": camera,
        "points": points,
    }


def known_for_worse(header: Header) -> Iterator[tuple[str, Any]]:
    """What has ended programs like this one."""
    scene = good(header)
    jpeg = bytearray(scene["image/compressed"].data)
    size = jpeg.index(b"\xff\xc0") + 5
    jpeg[size : size + 4] = b"\xf8\xf0\xf9\x40"  # says that it is 63728 px high and 63808 px wide
    for data in (jpeg, jpeg[:300], b"\xff\xd8", b""):
        yield "image/compressed", CompressedImage(header=header, format="jpeg", data=bytes(data))
    for model, count in (("equidistant", 5), ("equidistant", 0), ("plumb_bob", 3), ("rational_polynomial", 200)):
        camera = scene["camera_info"]
        camera.distortion_model, camera.d = model, [0.1] * count
        yield "camera_info", camera
        yield "depth", scene["depth"]
    for offset in (8, 12, 2**32 - 1):
        scene["points"].fields[2].offset = offset
        yield "points", scene["points"]


def nonsense(robot: Robot, seed: int) -> Iterator[tuple[str, Any]]:
    """Topics with bad messages, some of them stamped as the good ones."""
    random = Random(seed)  # noqa: S311 no secret
    for number in range(EACH):
        header = Header(stamp=robot.node.get_clock().now().to_msg(), frame_id="camera")
        scene = good(header)
        if number % 20 == 0:
            yield from good(header).items()  # so that the next ones meet an image
            yield from known_for_worse(header)
            for topic, message in scene.items():
                serialized = bytearray(serialize_message(message))
                yield topic, bytes(serialized[: random.randrange(4, len(serialized))])
                yield topic, random.randbytes(100)
                serialized[4:40] = random.randbytes(36)
                yield topic, bytes(serialized)
        for topic, message in scene.items():
            yield topic, garbage(type(message), random) if number % 6 == 0 else spoiled(message, random)


def answers(robot: Robot, node: ChildProcess) -> None:
    """Any answer will do."""
    assert node.is_running(), node.log
    with suppress(GarError):
        robot.client.list_regions()


def refuses_a_parameter_of_no_type(robot: Robot) -> bool:
    """Whether that is answered within a second; rclpy (7.1) raises for it."""
    client: Client = robot.node.create_client(SetParametersAtomically, "/gar/set_parameters_atomically")
    parameter = Parameter(name="request.max_age", value=ParameterValue(type=255))
    future: Any = client.call_async(SetParametersAtomically.Request(parameters=[parameter]))
    replied = threading.Event()
    future.add_done_callback(lambda _: replied.set())
    return replied.wait(1.0) and not future.result().result.successful


def answers_well(robot: Robot) -> bool:
    """Whether the newest image is a good one; the last bad one may still be the newest."""
    with suppress(GarError):
        listed = robot.client.list_regions()
        region = listed.regions[0].id
        answer = robot.client.query("What is <Prompt0>?", [region], stamp=listed.header.stamp, max_tokens=2)
        return list(answer.region_ids) == [region]
    return False


@pytest.mark.parametrize(("transport", "source"), [("raw", "image"), ("compressed", "points")])
def test_garbage_on_every_input_topic_costs_only_itself(
    robot: Robot, gar: GarStarter, transport: str, source: str
) -> None:
    node = gar(**{"input.image_transport": transport, "depth.source": source, "overlay.rate": 30.0})
    boxes = [Mailbox(robot, kind, topic, QoSProfile(depth=1)) for topic, kind in OUTPUTS.items()]
    publishers = {
        topic: robot.node.create_publisher(type(message), topic, 10) for topic, message in good(Header()).items()
    }

    def scene(header: Header) -> list[tuple[str, Any]]:
        return list(good(header).items())

    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
    for topic, message in nonsense(robot, seed=16):
        publishers[topic].publish(message)
        time.sleep(0.002)
        if topic == "points":
            answers(robot, node)
    wait_until(partial(refuses_a_parameter_of_no_type, robot))
    for publisher in publishers.values():
        robot.node.destroy_publisher(publisher)
    with robot.publishing(scene):
        robot.client.wait_until_ready(PATIENCE)
        for box in boxes:
            box.wait()
        wait_until(partial(answers_well, robot), lambda: node.log)
    assert node.is_running()


def test_a_wrong_message_type_is_named_with_the_right_one(robot: Robot, gar: GarStarter) -> None:
    node = gar(**{"input.check_period": 0.5, "diagnostics.rate": 5.0})
    mailbox = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    for topic in ("image", "regions", "instances", "depth", "camera_info"):
        robot.node.create_publisher(String, topic, 1)
        name = "gar_ros/msg/RegionArray" if topic == "regions" else "sensor_msgs/msg/"
        node.wait_for_log(f"/{topic} is published as std_msgs/msg/String, but subscribed to as {name}", PATIENCE)

    def is_in_diagnostics() -> bool:
        values = {pair.key: pair.value for pair in mailbox.wait().status[0].values}
        return "std_msgs/msg/String" in values.get("publishers of /camera_info", "")

    wait_until(is_in_diagnostics)
    with pytest.raises(GarError, match="/image is published as std_msgs/msg/String"):
        robot.client.list_regions()
