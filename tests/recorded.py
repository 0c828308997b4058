# SPDX-License-Identifier: Apache-2.0
"""A recorded tabletop: an MCAP bag as `rosbags` writes it, with the simulator's pictures and label images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.timeline import Timeline

SEED = 11
FIRST = 1_700_000_000_000_000_000  # nanoseconds: long ago
PERIOD = 500_000_000  # nanoseconds
FRAME = "camera_optical_frame"


def record_tabletop(path: Path, images: int = 3, size: tuple[int, int] = (640, 480)) -> list[int]:
    """Writes the bag, topics /image, /instances and /note; stamps of its images in nanoseconds. Each label image is
    recorded 40 ms after its image, as a detector would be."""
    types = get_typestore(Stores.ROS2_JAZZY)
    kinds = types.types
    image_kind, note_kind = kinds["sensor_msgs/msg/Image"], kinds["std_msgs/msg/String"]
    header_kind, time_kind = kinds["std_msgs/msg/Header"], kinds["builtin_interfaces/msg/Time"]
    timeline, stamps = Timeline(SEED), [FIRST + number * PERIOD for number in range(images)]
    with (
        TabletopRenderer(*size) as renderer,
        Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer,
    ):
        topics = {
            name: writer.add_connection(f"/{name}", kind.__msgtype__, typestore=types)
            for name, kind in (("image", image_kind), ("instances", image_kind), ("note", note_kind))
        }

        def write(topic: str, message: object, logged: int) -> None:
            connection = topics[topic]
            writer.write(connection, logged, types.serialize_cdr(message, connection.msgtype))

        def image_of(pixels: np.ndarray, encoding: str, stamp: int) -> object:
            header = header_kind(time_kind(stamp // 10**9, stamp % 10**9), FRAME)
            height, width = pixels.shape[:2]
            step = pixels.nbytes // height
            return image_kind(header, height, width, encoding, 0, step, pixels.ravel())

        for stamp in stamps:
            picture = renderer.render(timeline.at(stamp), depth=False)
            write("note", note_kind(f"image {stamp}"), stamp)
            write("image", image_of(picture.rgb, "rgb8", stamp), stamp)
            write("instances", image_of(picture.labels, "mono8", stamp), stamp + 40_000_000)
    return stamps
