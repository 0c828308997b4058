# SPDX-License-Identifier: Apache-2.0
"""Calling services from tests."""

from __future__ import annotations

import time
from typing import Any

import rclpy
from rclpy.client import Client
from rclpy.node import Node

ASK_AGAIN = 5.0
"""Seconds: DDS can drop the reply to a client that the node has only just discovered."""


def call(node: Node, service: Any, name: str, request: Any, timeout: float = 30.0) -> Any:
    """The response of a service that may be asked again; fails when there is none within `timeout` seconds."""
    response = try_call(node, service, name, request, timeout)
    assert response is not None, f"no answer from {name} within {timeout:g} s"
    return response


def try_call(node: Node, service: Any, name: str, request: Any, timeout: float) -> Any | None:
    """The response of a service that may be asked again, None when there is none within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    client: Client = node.create_client(service, name)
    try:
        if not client.wait_for_service(timeout):
            return None
        while (left := deadline - time.monotonic()) > 0:
            future = client.call_async(request)
            rclpy.spin_until_future_complete(node, future, timeout_sec=min(left, ASK_AGAIN))
            if future.done():
                return future.result()
        return None
    finally:
        node.destroy_client(client)
