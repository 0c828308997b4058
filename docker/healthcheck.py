#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether the GAR node serves, for a container's HEALTHCHECK: asks for its lifecycle state over ROS.

Exit code 0 when the node is active, else 1. GAR_NODE names the node where it isn't /gar, as with a namespace.
"""

from __future__ import annotations

import os
import sys
import time

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.node import Node

PATIENCE = 10.0  # seconds for finding the node and for its reply together; HEALTHCHECK's timeout is longer
ASK_AGAIN = 3.0  # seconds: DDS can drop the reply to a client that the node has only just discovered


def main() -> int:
    """Prints one line, which `docker inspect` shows."""
    name = os.environ.get("GAR_NODE", "/gar")
    rclpy.init()
    node = rclpy.create_node(f"healthcheck_{os.getpid()}", enable_rosout=False, start_parameter_services=False)
    state = _state(node, name)
    node.destroy_node()
    rclpy.shutdown()
    if state is None:
        print(
            f"{name}: expected a reply to get_state within {PATIENCE:g} s, but none came; is the node running, "
            "in this ROS_DOMAIN_ID and under this name (GAR_NODE)?"
        )
        return 1
    print(f"{name}: {state.label}")
    return 0 if state.id == State.PRIMARY_STATE_ACTIVE else 1


def _state(node: Node, name: str) -> State | None:
    """The lifecycle state of the node called `name`; None when it doesn't say so in time."""
    client = node.create_client(GetState, f"{name}/get_state")
    deadline = time.monotonic() + PATIENCE
    if not client.wait_for_service(PATIENCE):
        return None
    while (left := deadline - time.monotonic()) > 0:
        reply = client.call_async(GetState.Request())
        rclpy.spin_until_future_complete(node, reply, timeout_sec=min(left, ASK_AGAIN))
        if reply.done():
            return reply.result().current_state
    return None


if __name__ == "__main__":
    sys.exit(main())
