# SPDX-License-Identifier: Apache-2.0
"""Calling services from tests."""

from __future__ import annotations

from typing import Any

import rclpy
from rclpy.node import Node


def call(node: Node, service: Any, name: str, request: Any, timeout: float = 30.0) -> Any:
    """The response of one service call; fails when the service isn't there or silent for `timeout` seconds."""
    response = try_call(node, service, name, request, timeout)
    assert response is not None, f"no answer from {name} within {timeout:g} s"
    return response


def try_call(node: Node, service: Any, name: str, request: Any, timeout: float) -> Any | None:
    """The response of one service call, None when there is none within `timeout` seconds."""
    client = node.create_client(service, name)
    try:
        if not client.wait_for_service(timeout):
            return None
        future = client.call_async(request)
        rclpy.spin_until_future_complete(node, future, timeout_sec=timeout)
        return future.result() if future.done() else None
    finally:
        node.destroy_client(client)
