# SPDX-License-Identifier: Apache-2.0
"""Small bags of all kinds, and `gar annotate` over them with an engine that only says which image it was shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import Image

from gar_ros.cli.main import main
from gar_ros.engine.encoded_frame import Answer
from gar_ros.engine.prompt import Question
from gar_ros.messages.headers import header_message, stamp_ns
from gar_ros.messages.images import image_message
from gar_ros.region import Region

START = 1_700_000_000_000_000_000
PERIOD = 100_000_000  # nanoseconds between two images
LAG = 40_000_000
SIZE = (8, 6)  # width, height


class Sent(NamedTuple):
    """A message to record. number: a grey value of the image, or the id of its one region."""

    topic: str
    logged_ns: int
    stamp_ns: int
    number: int


def scene(count: int, first: int = START, logged: int | None = None, lag: int = LAG, number: int = 1) -> list[Sent]:
    """Images every 100 ms, and the label image of each `lag` later; all numbered from `number`, after 250
    again from 1."""
    logged = first if logged is None else logged
    sent = []
    for index in range(count):
        at = index * PERIOD
        named = (number + index - 1) % 250 + 1
        sent.append(Sent("/image", logged + at, first + at, named))
        sent.append(Sent("/instances", logged + at + lag, first + at, named))
    return sorted(sent, key=lambda one: one.logged_ns)


def message_of(sent: Sent) -> Image:
    """mono8: an image of one grey value, or a label image with one square of this value."""
    pixels = np.full(SIZE[::-1], sent.number, np.uint8)
    if sent.topic != "/image":
        pixels[:, :2] = 0
    message = image_message(pixels, "mono8", header_message("camera", 0))
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(sent.stamp_ns, 10**9)
    return message


def record(
    path: Path,
    sent: Sequence[Sent],
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    """Writes the bag; its folder."""
    types = get_typestore(Stores.ROS2_JAZZY)
    writer = Writer(path, version=9, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        topics = {
            topic: writer.add_connection(topic, "sensor_msgs/msg/Image", typestore=types)
            for topic in dict.fromkeys(["/image", "/instances", *(one.topic for one in sent)])
        }
        for one in sent:
            writer.write(topics[one.topic], one.logged_ns, serialize_message(message_of(one)))
    return path


def only(folder: Path, pattern: str) -> Path:
    """The one file of this pattern."""
    (file,) = folder.glob(pattern)
    return file


class NamingEngine:
    """As GarEngine: its answers are the grey values of the images."""

    def parse(self, text: str | None, choices: tuple[str, ...], count: int, max_tokens: int) -> Question:
        return Question(text or "", choices, count, None, ())  # type: ignore[arg-type]

    def encode(self, image: NDArray[np.uint8], regions: Sequence[Region], max_tiles: int | None) -> Any:
        return SimpleNamespace(ask=lambda question, max_tokens: Answer(str(image[0, 0, 0]), ()))


@pytest.fixture
def naming_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """`gar annotate` asks a NamingEngine."""
    monkeypatch.setattr("gar_ros.cli.annotate.open_engine", lambda args: NamingEngine())


def annotate(bag: Path, out: Path, *words: str) -> int:
    """The exit code of `gar annotate` about all images."""
    return main(["annotate", str(bag), "--out", str(out), "--every", "0", *words])


def answered(out: Path) -> list[tuple[int, str, str]]:
    """Stamp, the number of the image and that of the region, of all answers of a bag, in its order."""
    with AnyReader([out]) as reader:
        arrays: list[Any] = [
            reader.deserialize(data, one.msgtype)
            for one, _, data in reader.messages()
            if one.msgtype == "gar_ros/msg/AnswerArray"
        ]
    return [(stamp_ns(one.header.stamp), one.text, one.region_ids[0]) for array in arrays for one in array.answers]


def numbers(out: Path) -> list[int]:
    """The numbers of the images that were answered about; each must have met its own region."""
    found = answered(out)
    assert [image for _, image, _ in found] == [region for _, _, region in found]
    return [int(image) for _, image, _ in found]


def copied(out: Path) -> dict[str, list[int]]:
    """Stamps of the images of a bag by topic."""
    stamps: dict[str, list[int]] = {}
    with AnyReader([out]) as reader:
        for one, _, data in reader.messages():
            if one.msgtype == "sensor_msgs/msg/Image":
                message = deserialize_message(bytes(data), Image)
                stamps.setdefault(one.topic, []).append(stamp_ns(message.header.stamp))
    return stamps
