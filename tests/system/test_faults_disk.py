# SPDX-License-Identifier: Apache-2.0
"""A disk that is full, a real one of 1 MiB, as docs/faults.md tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from gar_ros.messages.headers import header_message
from gar_ros.messages.images import image_message
from tests.processes import StartProcess
from tests.system.robot import PATIENCE, labels_of, picture

ENGINES = """
import sys
from pathlib import Path
from gar_ros.engine.runtime.tensorrt.cache import EngineCache, EngineKey
from gar_ros.errors import GarError

cache, key = EngineCache(Path(sys.argv[1])), EngineKey("vision.onnx", "ab", "tensorrt 10", "a GPU", "float16", "x")
cache.prepare(1 << 16)
for size in (2 << 20, 1 << 16):
    try:
        cache.store(key, bytes(size))
        print("stored", size, cache.find(key).path is not None, flush=True)
    except GarError as error:
        print(error.code.name, error.message, cache.find(key).path, flush=True)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a file system of 1 MiB can't be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def left_on(disk: Path) -> list[str]:
    return [name for _, folders, files in os.walk(disk) for name in [*folders, *files]]


def test_an_engine_for_which_there_is_no_room_is_refused_and_leaves_nothing(
    small_disk: Path, start_process: StartProcess
) -> None:
    process = start_process(sys.executable, "-c", ENGINES, small_disk / "engines")
    assert process.wait(PATIENCE) == 0
    refused, stored = process.log.splitlines()
    assert refused.startswith("INVALID_REQUEST") and "No space left on device" in refused and refused.endswith("None")
    assert stored == "stored 65536 True", "what was begun takes no room any more"


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Ten images with their label images, 3 MB."""
    store = get_typestore(Stores.ROS2_JAZZY)
    folder = tmp_path / "drive"
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            topic: writer.add_connection(topic, "sensor_msgs/msg/Image", typestore=store)
            for topic in ("/image", "/instances")
        }
        for number in range(10):
            stamp = (number + 1) * 10**9
            header = header_message("camera", stamp)
            noise = np.random.default_rng(number).integers(0, 255, picture().shape, np.uint8)
            for topic, pixels, encoding in (("/image", noise, "rgb8"), ("/instances", labels_of(picture()), "mono8")):
                message = image_message(pixels, encoding, header)
                writer.write(connections[topic], stamp, serialize_message(message))
    return folder


def test_an_annotated_bag_for_which_there_is_no_room_is_told_in_one_line(
    bag: Path, model_dir: Path, small_disk: Path, tmp_path: Path, start_process: StartProcess
) -> None:
    command = [sys.executable, "-m", "gar_ros.cli.main", "annotate", bag, "--model", model_dir, "--provider", "cpu"]
    asked = ["--question", "What is <Prompt0>?", "--max-tokens", "2", "--every", "4"]
    process = start_process(*command, *asked, "--out", small_disk / "answers")
    assert process.wait(PATIENCE) == 2
    assert "No space left on device" in process.log
    assert "Traceback" not in process.log
    assert left_on(small_disk) == [], "so that the same command works where there is room"
    process = start_process(*command, *asked, "--out", tmp_path / "answers")
    assert process.wait(PATIENCE) == 0, process.log
