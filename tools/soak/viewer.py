# SPDX-License-Identifier: Apache-2.0
"""Somebody at rviz, a process: looks at markers, cloud, overlay and latched topics, goes, and comes back."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.subscription import Subscription

from gar_ros.node.endpoints import ANSWERS, CLOUD, GRAPH, MARKERS, NODE_NAME, OVERLAY, TRACKS, Endpoint
from tools.soak.journal import Journal

LATCHED = (ANSWERS, GRAPH, TRACKS)
LOOKS, LOOKS_AWAY = (4.0, 10.0), (2.0, 5.0)
"""Seconds."""


def main(arguments: list[str]) -> int:
    """Looks until it is killed. arguments: the journal, to which it tells how many messages it saw each time."""
    journal = Journal.append_to(arguments[0])
    rclpy.init()
    node = rclpy.create_node("soak_viewer")
    chance = random.Random(2)  # noqa: S311, no secret
    while node.context.ok():
        seen: Counter[str] = Counter()
        subscriptions = [_subscribed(node, endpoint, seen) for endpoint in (*LATCHED, MARKERS, CLOUD, OVERLAY)]
        until = time.monotonic() + chance.uniform(*LOOKS)
        while time.monotonic() < until:
            rclpy.spin_once(node, timeout_sec=0.2)
        for subscription in subscriptions:
            node.destroy_subscription(subscription)
        journal.write(event="looked", who="viewer", seen=seen)
        time.sleep(chance.uniform(*LOOKS_AWAY))
    return 0


def _subscribed(node: Node, endpoint: Endpoint, seen: Counter[str]) -> Subscription:
    """Counts the endpoint's messages in `seen`."""
    topic = endpoint.name.removeprefix("~/")
    durability = DurabilityPolicy.TRANSIENT_LOCAL if endpoint in LATCHED else DurabilityPolicy.VOLATILE

    def count(_: Any) -> None:
        seen[topic] += 1

    qos = QoSProfile(depth=1, durability=durability)
    return node.create_subscription(endpoint.type, f"/{NODE_NAME}/{topic}", count, qos)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
