# SPDX-License-Identifier: Apache-2.0
"""A planner of its own process that asks the node for its regions until it is served, and says how that ended."""

from __future__ import annotations

import sys
import time

import rclpy

from gar_ros.client import RegionClient
from gar_ros.errors import ErrorCode, GarError
from gar_ros.rclpy_compat import RCLError

PATIENCE = 15.0
"""Seconds: a client that has no permission sees no server."""


def main() -> int:
    """Prints `served` or `refused`."""
    rclpy.init(args=sys.argv)
    deadline, outcome = time.monotonic() + PATIENCE, "refused"
    try:
        client = RegionClient(rclpy.create_node("planner"))
        while outcome == "refused" and time.monotonic() < deadline:
            try:
                client.list_regions(timeout=1.0)
            except GarError as error:
                if error.code is ErrorCode.NO_FRAME:  # an answer: there is no camera
                    outcome = "served"
    except RCLError as error:
        if "client" not in str(error):  # which may be all that is not allowed
            raise
    sys.stdout.write(f"{outcome}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
