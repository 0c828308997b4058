# SPDX-License-Identifier: Apache-2.0
"""The soak's camera, a process: images at 30 Hz, their camera, and depth with every sixth or labels with each."""

from __future__ import annotations

import sys
import time

import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from gar_ros.messages.headers import stamp_ns
from gar_ros.messages.images import image_message
from tools.soak import scene
from tools.soak.journal import Journal

RATE = 30.0
"""Images a second."""
DEPTH_EVERY = 6
FRAME = "camera_optical_frame"


def main(arguments: list[str]) -> int:
    """Publishes until it is killed. arguments: the journal, to which it tells its first image; "labels" for label
    images instead of depth."""
    journal, with_labels = Journal.append_to(arguments[0]), "labels" in arguments[1:]
    rclpy.init()
    node = rclpy.create_node("soak_camera")
    images = node.create_publisher(Image, "image", QoSProfile(depth=2))
    more = node.create_publisher(Image, "instances" if with_labels else "depth", QoSProfile(depth=2))
    infos = node.create_publisher(CameraInfo, "camera_info", QoSProfile(depth=2))
    due, number = time.monotonic(), 0
    while node.context.ok():
        header = Header(frame_id=FRAME, stamp=node.get_clock().now().to_msg())
        stamp = stamp_ns(header.stamp)
        images.publish(image_message(scene.picture(stamp), "rgb8", header))
        infos.publish(_info(header))
        if with_labels:
            more.publish(image_message(scene.labels(stamp), "mono8", header))
        elif number % DEPTH_EVERY == 0:
            more.publish(image_message(scene.depth(stamp), "16UC1", header))
        if number == 0:
            journal.write(event="publishes", who="camera")
        number += 1
        due = max(due + 1 / RATE, time.monotonic())  # a camera that was late doesn't catch up
        time.sleep(max(due - time.monotonic(), 0.0))
    return 0


def _info(header: Header) -> CameraInfo:
    """Pinhole camera without distortion."""
    info = CameraInfo(header=header, width=scene.WIDTH, height=scene.HEIGHT, distortion_model="plumb_bob")
    focal, x, y = 900.0, scene.WIDTH / 2, scene.HEIGHT / 2
    info.d = [0.0] * 5
    info.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
    info.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    info.p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return info


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
