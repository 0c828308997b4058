# SPDX-License-Identifier: Apache-2.0
"""Somebody who looks at the overlay, a process."""

from __future__ import annotations

import sys

import rclpy
from rclpy.qos import QoSProfile

from gar_ros.node.endpoints import NODE_NAME, OVERLAY
from tools.soak.journal import Journal


def main(arguments: list[str]) -> int:
    """Looks until it is killed. arguments: the journal, which gets a row for each picture."""
    journal = Journal.append_to(arguments[0])
    rclpy.init()
    node = rclpy.create_node("overlay_viewer")
    topic = OVERLAY.name.replace("~", f"/{NODE_NAME}")
    node.create_subscription(
        OVERLAY.type, topic, lambda _: journal.write(event="looked", who="viewer"), QoSProfile(depth=1)
    )
    rclpy.spin(node)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
