# SPDX-License-Identifier: Apache-2.0
"""An agent: starts `gar mcp` as its child and asks one long question: `python -m tests.system.mcp_agent ID`."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager

from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client


def agent(gar: str = "/gar") -> AbstractAsyncContextManager[Client]:
    """The package's own client, with a server of its own beside the node of this name."""
    command = [sys.executable, "-m", "gar_ros.cli.main", "mcp", "--gar", gar]
    server = StdioServerParameters(command=command[0], args=command[1:], env=dict(os.environ))
    return Client(stdio_client(server))


async def ask_for_long(region_id: str) -> None:
    """Prints when it begins."""
    async with agent() as client:
        await client.call_tool("list_regions", {})
        sys.stdout.write("asking\n")
        sys.stdout.flush()
        arguments = {"question": "What is <Prompt0>?", "region_ids": [region_id], "max_tokens": 512, "timeout": 60.0}
        await client.call_tool("ask", arguments)


if __name__ == "__main__":
    asyncio.run(ask_for_long(sys.argv[1]))
