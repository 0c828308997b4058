"""Transformations by tf2. PyPI has no tf2: a stand-in with the calls that are used is what answers here."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gar_ros.errors import ErrorCode, GarError
from gar_ros.node.inputs.tf import make_poses, rotation_matrix

HALF = 0.5**0.5


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
