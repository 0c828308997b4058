# SPDX-License-Identifier: Apache-2.0
"""config/fastdds_shm.xml: Fast DDS takes it by the name that the demo gives it, and images really go through a segment
that is larger than they are."""

from __future__ import annotations

import sys
from pathlib import Path

import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

from gar_ros.demo.__main__ import demo_environment
from tests.processes import StartProcess

SEGMENT_BYTES = 32 * 1024 * 1024
CAMERA = """
import array, rclpy
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "image", 1)
message = Image(height=720, width=1280, encoding="rgb8", step=3840, data=array.array("B", bytes(720 * 3840)))
node.create_timer(0.1, lambda: publisher.publish(message))
rclpy.spin(node)
"""


def test_images_go_through_a_large_shared_memory_segment(
    ros_domain: int, ros_node: Node, start_process: StartProcess, tmp_path: Path
) -> None:
    environment = demo_environment(ros_domain, tmp_path)
    camera = start_process(sys.executable, "-c", CAMERA, env=environment)
    images: list[Image] = []
    ros_node.create_subscription(Image, "image", images.append, 1)

    def received() -> bool:
        rclpy.spin_once(ros_node, timeout_sec=0.1)
        return bool(images)

    camera.wait_until(received, 60, "an image")
    assert images[0].width == 1280
    assert "XML" not in camera.log
    assert "deprecated" not in camera.log
    assert max(shared_memory_segments(camera.pid)) >= SEGMENT_BYTES


def shared_memory_segments(pid: int) -> list[int]:
    """Bytes of each Fast DDS segment that a process has mapped."""
    mappings = (line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines() if "/dev/shm/fast" in line)
    spans = (mapping[0].split("-") for mapping in mappings)
    return [int(end, 16) - int(start, 16) for start, end in spans]
