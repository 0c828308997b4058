# SPDX-License-Identifier: Apache-2.0
"""Transformations by tf2: by the real one where it is installed (PyPI has none), and by a stand-in everywhere."""

from __future__ import annotations

import math
import sys
import time
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from rclpy.node import Node
from std_msgs.msg import Header

from gar_ros.errors import ErrorCode, GarError
from gar_ros.messages.headers import stamp_message
from gar_ros.node.inputs.tf import make_poses, rotation_matrix

HALF = 0.5**0.5
S = 10**9
PATIENCE = 60.0  # seconds


class FakeTf2:
    """Stand-in for tf2_ros: knows one transformation, base <- lens, from 1 s on."""

    class TransformException(Exception):  # noqa: N818, tf2's name
        """As tf2_ros names the base of its exceptions."""

    class Buffer:
        def lookup_transform(self, target: str, source: str, time: Any) -> Any:
            if (target, source) != ("base", "lens") or time.nanoseconds < 10**9:
                raise FakeTf2.TransformException(f"{source} is not connected to {target}")
            rotation, translation = SimpleNamespace(x=0, y=0, z=HALF, w=HALF), SimpleNamespace(x=1, y=2, z=3)
            return SimpleNamespace(transform=SimpleNamespace(rotation=rotation, translation=translation))

    class TransformListener:
        def __init__(self, buffer: Any, node: Any) -> None:
            self._node = node
            node.append(self)

        def unregister(self) -> None:
            self._node.remove(self)


def test_a_quarter_turn_about_z() -> None:
    np.testing.assert_allclose(rotation_matrix(0, 0, 2 * HALF, 2 * HALF), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-9)


def test_without_a_target_frame_places_stay_where_they_are() -> None:
    assert make_poses(None, "", ExitStack()).find("lens", 0) is None  # type: ignore[arg-type]


def test_a_target_frame_without_tf2_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    with pytest.raises(GarError, match=r"depth\.target_frame is 'base', which needs tf2_ros") as raised:
        make_poses(None, "base", ExitStack())  # type: ignore[arg-type]
    assert raised.value.code is ErrorCode.INVALID_REQUEST


def test_poses_come_from_tf2_at_the_surface_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", FakeTf2)
    lifetime, listeners = ExitStack(), list[Any]()
    poses = make_poses(listeners, "base", lifetime)  # type: ignore[arg-type]
    assert len(listeners) == 1
    pose = poses.find("lens", 10**9)
    assert pose is not None
    assert pose.frame_id == "base"
    np.testing.assert_allclose(pose.rotation @ [1, 0, 0] + pose.translation, [1, 3, 3], atol=1e-9)
    with pytest.raises(GarError, match=r"no transformation to depth\.target_frame 'base': lens is not connected"):
        poses.find("lens", 0)
    lifetime.close()
    assert listeners == []


@pytest.mark.parametrize(
    ("rotation", "translation"),
    [((0, 0, 0, 0), (1, 2, 3)), ((0, 0, math.nan, 1), (1, 2, 3)), ((0, 0, 0, 1), (1, math.inf, 3))],
)
def test_numbers_that_are_no_transformation_are_refused(
    monkeypatch: pytest.MonkeyPatch, rotation: tuple[float, ...], translation: tuple[float, ...]
) -> None:
    made = SimpleNamespace(
        rotation=SimpleNamespace(**dict(zip("xyzw", rotation, strict=True))),
        translation=SimpleNamespace(**dict(zip("xyz", translation, strict=True))),
    )
    monkeypatch.setitem(sys.modules, "tf2_ros", FakeTf2)
    monkeypatch.setattr(FakeTf2.Buffer, "lookup_transform", lambda *_: SimpleNamespace(transform=made))
    with pytest.raises(
        GarError, match=r"depth\.target_frame 'base': expected a rotation and finite numbers from 'lens'"
    ):
        make_poses([], "base", ExitStack()).find("lens", 0)  # type: ignore[arg-type]


def test_a_stamp_before_1970_has_no_transformation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2_ros", FakeTf2)
    with pytest.raises(GarError, match=r"no transformation to depth\.target_frame 'base'.*raise depth\.max_wait"):
        make_poses([], "base", ExitStack()).find("lens", -1)  # type: ignore[arg-type]


def test_the_real_tf2_gives_the_pose_at_the_surface_s_time(ros_node: Node) -> None:
    """The lens moves by two metres between 1 s and 3 s."""
    tf2_ros = pytest.importorskip("tf2_ros", reason="tf2_ros is not installed (apt: ros-jazzy-tf2-ros-py)")
    lifetime = ExitStack()
    poses = make_poses(ros_node, "base", lifetime)
    broadcaster = tf2_ros.TransformBroadcaster(ros_node)
    moves = [lens_at(1 * S, 1.0), lens_at(3 * S, 3.0)]
    deadline = time.monotonic() + PATIENCE
    pose = None
    while pose is None and time.monotonic() < deadline:
        broadcaster.sendTransform(moves)
        rclpy.spin_once(ros_node, timeout_sec=0.1)
        with suppress(GarError):  # until both have arrived
            pose = poses.find("lens", 2 * S)
    assert pose is not None
    assert pose.frame_id == "base"
    np.testing.assert_allclose(pose.rotation @ [1, 0, 0] + pose.translation, [2, 3, 3], atol=1e-9)
    with pytest.raises(GarError, match=r"no transformation to depth\.target_frame 'base'") as raised:
        poses.find("lens", 4 * S)
    assert raised.value.code is ErrorCode.NO_FRAME
    lifetime.close()
    assert ros_node.get_subscriptions_info_by_topic("/tf") == []


def lens_at(stamp_ns: int, x: float) -> TransformStamped:
    """base <- lens, turned by a quarter about z."""
    moved = TransformStamped(header=Header(stamp=stamp_message(stamp_ns), frame_id="base"), child_frame_id="lens")
    moved.transform.translation = Vector3(x=x, y=2.0, z=3.0)
    moved.transform.rotation = Quaternion(z=HALF, w=HALF)
    return moved
