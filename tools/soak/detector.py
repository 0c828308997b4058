# SPDX-License-Identifier: Apache-2.0
"""The soak's detector, a process: takes the newest image, needs a while, and tells what it has found there."""

from __future__ import annotations

import random
import sys
import time

import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.regions import region_array_message
from gar_ros.msg import RegionArray
from tools.soak import scene
from tools.soak.journal import Journal

LAG = (0.05, 0.2)
"""Seconds that one image takes."""


def main(arguments: list[str]) -> int:
    """Detects until it is killed. arguments: the journal, to which it tells its first regions."""
    journal = Journal.append_to(arguments[0])
    rclpy.init()
    node = rclpy.create_node("soak_detector")
    regions = node.create_publisher(RegionArray, "regions", QoSProfile(depth=5))
    chance = random.Random(1)  # noqa: S311, no secret
    told = False

    def detect(image: Image) -> None:
        nonlocal told
        time.sleep(chance.uniform(*LAG))
        size = (scene.WIDTH, scene.HEIGHT)
        regions.publish(region_array_message(scene.found(stamp_ns(image.header.stamp)), size, image.header))
        if not told:
            journal.write(event="publishes", who="detector")
        told = True

    newest = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    node.create_subscription(Image, "image", detect, newest)
    rclpy.spin(node)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
