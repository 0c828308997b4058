# SPDX-License-Identifier: Apache-2.0
"""The camera as a process of its own, seen through DDS."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image

from gar_ros.messages.headers import stamp_ns
from gar_ros.node.inputs.tf import rotation_matrix
from gar_ros.sim.render import TabletopRenderer
from gar_ros.sim.timeline import Timeline
from gar_ros.sim.transforms import to_matrix
from tests.processes import ChildProcess, StartProcess

SEED = 3
TOPICS = {"image_raw": Image, "camera_info": CameraInfo, "depth": Image, "instances": Image}
TIMEOUT = 60.0
Messages = dict[int, dict[str, Image | CameraInfo]]
"""What came, by stamp (nanoseconds) and topic."""


def start_camera(start_process: StartProcess, *parameters: str) -> ChildProcess:
    settings = [f"seed:={SEED}", "noise:=0.0", *parameters]
    arguments = [part for setting in settings for part in ("-p", setting)]
    return start_process(sys.executable, "-m", "gar_ros.demo.tabletop_camera", "--ros-args", *arguments)


def receive(node: Node, enough: Callable[[Messages], bool], camera: ChildProcess) -> Messages:
    """All messages that came until there were enough."""
    messages: Messages = defaultdict(dict)

    def keep(topic: str) -> Callable[[Image | CameraInfo], None]:
        return lambda message: messages[stamp_ns(message.header.stamp)].__setitem__(topic, message)

    subscriptions = [
        node.create_subscription(kind, name, keep(name), QoSProfile(depth=40)) for name, kind in TOPICS.items()
    ]
    executor = SingleThreadedExecutor()  # kept: one for each message, as rclpy.spin_once makes it, is slower than 40 Hz
    executor.add_node(node)
    deadline = time.monotonic() + TIMEOUT
    while not enough(messages):
        assert camera.is_running(), camera.log
        assert time.monotonic() < deadline, f"only {[sorted(found) for found in messages.values()]}\n{camera.log}"
        executor.spin_once(timeout_sec=0.2)
    executor.shutdown()
    for subscription in subscriptions:
        node.destroy_subscription(subscription)
    return messages


def complete(messages: Messages) -> list[dict[str, Image | CameraInfo]]:
    return [messages[stamp] for stamp in sorted(messages) if len(messages[stamp]) == len(TOPICS)]


@pytest.fixture
def camera(ros_node: Node, start_process: StartProcess) -> Iterator[ChildProcess]:
    child = start_camera(start_process)
    yield child
    assert child.interrupt(TIMEOUT) == 0, child.log


def array(message: Image, dtype: type[np.generic]) -> NDArray[np.generic]:
    assert message.is_bigendian == 0
    return np.frombuffer(message.data, dtype).reshape(message.height, message.width, -1).squeeze()


def test_all_topics_carry_one_picture_under_one_stamp(ros_node: Node, camera: ChildProcess) -> None:
    picture = complete(receive(ros_node, lambda messages: len(complete(messages)) >= 1, camera))[0]
    assert {message.header.frame_id for message in picture.values()} == {"camera_optical_frame"}
    assert {(message.width, message.height) for message in picture.values()} == {(640, 480)}
    found = {
        topic: (message.encoding, message.step) for topic, message in picture.items() if isinstance(message, Image)
    }
    assert found == {"image_raw": ("rgb8", 640 * 3), "depth": ("32FC1", 640 * 4), "instances": ("mono8", 640)}


def test_a_picture_shows_what_seed_and_stamp_say(ros_node: Node, camera: ChildProcess) -> None:
    messages = receive(ros_node, lambda messages: len(complete(messages)) >= 1, camera)
    stamp = next(stamp for stamp in sorted(messages) if len(messages[stamp]) == len(TOPICS))
    scene, picture = Timeline(SEED).at(stamp), messages[stamp]
    with TabletopRenderer(640, 480) as renderer:
        expected = renderer.render(scene)
    assert (array(picture["instances"], np.uint8) == expected.labels).all()
    assert (array(picture["image_raw"], np.uint8) == expected.rgb).all()
    assert (array(picture["depth"], np.float32) == expected.depth).all()


def test_depth_and_camera_info_put_the_table_where_it_is(ros_node: Node, camera: ChildProcess) -> None:
    messages = receive(ros_node, lambda messages: len(complete(messages)) >= 1, camera)
    stamp = next(stamp for stamp in sorted(messages) if len(messages[stamp]) == len(TOPICS))
    picture, pose = messages[stamp], Timeline(SEED).at(stamp).camera
    info = picture["camera_info"]
    assert info.distortion_model == "plumb_bob" and list(info.d) == [0.0] * 5
    assert list(info.r) == list(np.eye(3).ravel()) and list(info.p.reshape(3, 4)[:, 3]) == [0.0] * 3
    rows, columns = np.nonzero(array(picture["instances"], np.uint8) == 0)
    depth = array(picture["depth"], np.float32)[rows, columns].astype(float)
    pixels = np.stack([columns, rows, np.ones(len(rows))])
    points = (np.linalg.inv(info.k.reshape(3, 3)) @ pixels * depth).T @ to_matrix(pose.orientation).T + pose.position
    on_table = (np.abs(points[:, 0]) < 0.5) & (np.abs(points[:, 1]) < 0.4) & (np.abs(points[:, 2]) < 0.1)
    assert on_table.sum() > 50_000
    assert np.abs(points[on_table, 2]).max() < 0.003  # metres


def test_tf_says_where_the_camera_stands_and_late_listeners_hear_it(ros_node: Node, camera: ChildProcess) -> None:
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="tf2_msgs is not installed (apt: ros-jazzy-tf2-msgs)")
    messages = receive(ros_node, lambda messages: len(complete(messages)) >= 1, camera)
    heard: list[Any] = []
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ros_node.create_subscription(tf2_msgs.TFMessage, "/tf_static", heard.append, latched)
    deadline = time.monotonic() + TIMEOUT
    while not heard:
        assert time.monotonic() < deadline, camera.log
        rclpy.spin_once(ros_node, timeout_sec=0.2)
    (found,) = heard[0].transforms
    assert (found.header.frame_id, found.child_frame_id) == ("table", "camera_optical_frame")
    move, turn = found.transform.translation, found.transform.rotation
    rotation = rotation_matrix(turn.x, turn.y, turn.z, turn.w)
    scene = Timeline(SEED).at(max(messages))
    on_table = np.array([item.position for item in scene.objects])
    seen = scene.camera.to_optical(on_table)
    assert seen @ rotation.T + [move.x, move.y, move.z] == pytest.approx(on_table, abs=1e-9)
    assert seen[:, 2].min() > 0.2, "before the camera"


def test_pictures_come_regularly_and_objects_move(ros_node: Node, camera: ChildProcess) -> None:
    messages = receive(ros_node, lambda messages: len(messages) >= 15 and len(complete(messages)) >= 2, camera)
    stamps = np.array(sorted(messages))
    assert np.diff(stamps).min() > 0.03e9  # 10 Hz, with what a busy machine puts off
    assert 0.09e9 < np.median(np.diff(stamps)) < 1e9
    first, *_, last = complete(messages)
    assert (array(first["instances"], np.uint8) != array(last["instances"], np.uint8)).any()


def test_size_and_rate_are_parameters(ros_node: Node, start_process: StartProcess) -> None:
    camera = start_camera(start_process, "width:=160", "height:=120", "rate:=2.0")
    messages = receive(ros_node, lambda messages: len(complete(messages)) >= 3, camera)
    assert all(
        (message.width, message.height) == (160, 120) for picture in complete(messages) for message in picture.values()
    )
    assert np.median(np.diff(sorted(messages))) > 0.4e9
    assert camera.interrupt(TIMEOUT) == 0


def test_a_seed_out_of_range_is_refused_with_a_reason(ros_node: Node, start_process: StartProcess) -> None:
    camera = start_process(sys.executable, "-m", "gar_ros.demo.tabletop_camera", "--ros-args", "-p", "seed:=-1")
    assert camera.wait(TIMEOUT) != 0
    assert "seed" in camera.log and "Traceback" not in camera.log


def test_sigterm_ends_it_like_ctrl_c(ros_domain: int, start_process: StartProcess) -> None:
    camera = start_camera(start_process)
    camera.wait_for_log("simulated tabletop", TIMEOUT)
    os.kill(camera.pid, signal.SIGTERM)
    assert camera.wait(TIMEOUT) == 0
