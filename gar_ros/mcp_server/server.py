# SPDX-License-Identifier: Apache-2.0
"""Runs the MCP server beside a `gar` node, over this process's stdin and stdout, until stdin closes."""

from __future__ import annotations

import asyncio
import os
import signal

import rclpy
from mcp.server.mcpserver import MCPServer
from rclpy.exceptions import NameValidationException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from gar_ros.client_asyncio import AsyncRegionClient
from gar_ros.errors import ErrorCode, GarError, reason_of
from gar_ros.mcp_server.tools import INSTRUCTIONS, Tools


def serve(gar: str) -> None:
    """Returns when the client has closed stdin, or has died. Calls that still wait then end with it.

    gar: the node's name, or that of one of its cameras, as for RegionClient. Raises GarError INVALID_REQUEST for what
    can't be a name.
    """
    # A thread that reads stdin can't be ended, so SIGINT ends the process as SIGTERM does.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        # Several servers may run beside one node.
        node = rclpy.create_node(f"gar_mcp_{os.getpid()}", enable_rosout=False, start_parameter_services=False)
        try:
            client = AsyncRegionClient(node, gar)
        except NameValidationException as error:
            message = f"--gar: expected the name of a node, got '{gar}': {reason_of(error)}"
            raise GarError(ErrorCode.INVALID_REQUEST, message) from error
        asyncio.run(_serve(node, client, gar))
    finally:
        try_shutdown()  # ends calls that wait in threads


async def _serve(node: Node, client: AsyncRegionClient, gar: str) -> None:
    server = MCPServer("gar_ros", instructions=" ".join(INSTRUCTIONS.split()), log_level="WARNING")
    async with client:
        Tools(node, client, gar).register(server)
        await server.run_stdio_async()
