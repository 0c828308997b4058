# SPDX-License-Identifier: Apache-2.0
"""Somebody at rviz, a process: looks at markers, cloud, overlay and latched topics, goes, and comes back."""

from __future__ import annotations

import random
import sys
import time
from typing import Any

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile

from gar_ros.node.endpoints import ANSWERS, CLOUD, GRAPH, MARKERS, NODE_NAME, OVERLAY, TRACKS
from tools.soak.journal import Journal

LOOKS, LOOKS_AWAY = (4.0, 10.0), (2.0, 5.0)
"""Seconds."""


def main(arguments: list[str]) -> int:
    """Looks until it is killed. arguments: the journal, to which it tells how many messages it saw each time."""
    journal = Journal.append_to(arguments[0])
    rclpy.init()
    node = rclpy.create_node("soak_viewer")
    chance = random.Random(2)  # noqa: S311, no secret
    while rclpy.ok():
        seen = {endpoint.name.removeprefix("~/"): 0 for endpoint in (MARKERS, CLOUD, OVERLAY, ANSWERS, GRAPH, TRACKS)}

        def count(_: Any, topic: str, seen: dict[str, int] = seen) -> None:
            seen[topic] += 1

        subscriptions = []
        for endpoint in (MARKERS, CLOUD, OVERLAY, ANSWERS, GRAPH, TRACKS):
            topic = endpoint.name.removeprefix("~/")
            latched = endpoint in (ANSWERS, GRAPH, TRACKS)
            durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
            subscriptions.append(
                node.create_subscription(
                    endpoint.type,
                    f"/{NODE_NAME}/{topic}",
                    lambda message, topic=topic, count=count: count(message, topic),
                    QoSProfile(depth=1, durability=durability),
                )
            )
        until = time.monotonic() + chance.uniform(*LOOKS)
        while time.monotonic() < until:
            rclpy.spin_once(node, timeout_sec=0.2)
        for subscription in subscriptions:
            node.destroy_subscription(subscription)
        journal.write(event="looked", who="viewer", seen=seen)
        time.sleep(chance.uniform(*LOOKS_AWAY))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
