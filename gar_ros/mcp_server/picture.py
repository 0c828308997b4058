# SPDX-License-Identifier: Apache-2.0
"""The node's overlay picture, read once: the node draws it only while someone subscribes."""

from __future__ import annotations

import threading
import time
from io import BytesIO
from itertools import count

from PIL import Image as Picture
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.encodings import image_array

MOST_BYTES = 3_000_000
"""Of a PNG; clients of LLMs refuse pictures of about 5 MB, and base64 makes a third more of it."""
_SPIN_SECONDS = 0.1
_numbers = count(1)


def read_overlay(context: Context, name: str, topic: str, timeout: float, cancel: threading.Event) -> Image:
    """The next picture on the topic. name: of the node that reads, a node of its own, spun by this thread.

    Raises GarError NO_FRAME when none comes within `timeout` seconds, CANCELLED when `cancel` is set or ROS shut down.
    """
    received: list[Image] = []
    node = Node(
        f"{name}_{next(_numbers)}", context=context, use_global_arguments=False, enable_rosout=False,
        start_parameter_services=False,
    )  # fmt: skip
    executor = SingleThreadedExecutor(context=context)
    try:
        node.create_subscription(Image, topic, received.append, QoSProfile(depth=1))
        executor.add_node(node)
        deadline = time.monotonic() + timeout
        while not received:
            if cancel.is_set() or not context.ok():
                raise GarError(ErrorCode.CANCELLED, "the picture is not wanted any more")
            if time.monotonic() > deadline:
                message = f"expected a picture on {topic} within {timeout:g} s, got none: see parameter overlay.rate"
                raise GarError(ErrorCode.NO_FRAME, message)
            executor.spin_once(_SPIN_SECONDS)
        return received[-1]
    finally:
        executor.shutdown()
        node.destroy_node()


def png_of(message: Image, longest_edge: int) -> bytes:
    """An rgb8 image as PNG of at most MOST_BYTES, made smaller as needed. longest_edge: pixels.

    Raises GarError INVALID_REQUEST for an image that can't be read.
    """
    if message.encoding != "rgb8":
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected an rgb8 picture, got '{message.encoding[:40]}'")
    picture = Picture.fromarray(image_array(message))
    edge = longest_edge
    while True:
        picture.thumbnail((edge, edge), Picture.Resampling.LANCZOS)
        file = BytesIO()
        picture.save(file, "PNG")
        if file.tell() <= MOST_BYTES:
            return file.getvalue()
        edge = max(picture.size) * 3 // 4
