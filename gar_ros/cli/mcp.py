# SPDX-License-Identifier: Apache-2.0
"""`gar mcp`: tools for LLM agents, as an MCP server over stdin and stdout beside a running node."""

from __future__ import annotations

import argparse

from gar_ros.errors import ErrorCode, GarError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar mcp`."""
    parser.add_argument(
        "--gar",
        default="/gar",
        metavar="NAME",
        help="name of the node, such as /robot1/gar, or of one of its cameras, such as /gar/front (default: "
        "%(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Serves until the client closes stdin. Raises GarError INVALID_REQUEST for a missing package or a wrong name."""
    try:
        from gar_ros.mcp_server.server import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gar_ros"):
            raise
        what = (
            "gar mcp needs rclpy and the Python package mcp in its second version, but there is no module "
            f"{error.name}; source ROS, or run `pip install 'mcp>=2.3,<3'` in the venv of this command"
        )
        raise GarError(ErrorCode.INVALID_REQUEST, what) from error
    serve(args.gar)
    return 0
