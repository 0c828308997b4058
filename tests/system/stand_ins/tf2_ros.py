# SPDX-License-Identifier: Apache-2.0
"""Stand-in for tf2_ros, which PyPI has not: knows transformations between the two frames that were published."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import TransformStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from gar_ros.messages.headers import stamp_ns


class TransformException(Exception):  # noqa: N818, tf2's name
    """As tf2_ros names the base of its exceptions."""


class Buffer:
    """As tf2_ros.Buffer: a transformation is known up to the newest stamp that has come."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], TransformStamped] = {}

    def lookup_transform(self, target: str, source: str, time: Time) -> TransformStamped:
        found = self.known.get((target, source))
        if found is None:
            raise TransformException(f'"{target}" passed to lookupTransform argument target_frame does not exist.')
        if stamp_ns(found.header.stamp) < time.nanoseconds:
            raise TransformException("Lookup would require extrapolation into the future.")
        return found


class TransformListener:
    """As tf2_ros.TransformListener."""

    def __init__(self, buffer: Buffer, node: Node) -> None:
        self._buffer, self._node = buffer, node
        self._subscription: Any = node.create_subscription(
            TFMessage, "/tf", self._keep, 100, callback_group=ReentrantCallbackGroup()
        )

    def _keep(self, message: TFMessage) -> None:
        for one in message.transforms:
            self._buffer.known[one.header.frame_id, one.child_frame_id] = one

    def unregister(self) -> None:
        self._node.destroy_subscription(self._subscription)
