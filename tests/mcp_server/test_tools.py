# SPDX-License-Identifier: Apache-2.0
"""What every tool keeps to, whatever the node does: only reads, has bounds, and tells errors with their code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from builtin_interfaces.msg import Time
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError, UnexpectedToolError

from gar_ros.errors import ErrorCode, GarError
from gar_ros.mcp_server.tools import MOST_CALLS, Tools
from gar_ros.msg import Answer
from gar_ros.srv import ListRegions


class Client:
    """Notes what it is asked, and replies when `open` is set or raises `error`."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None

    async def list_regions(self, **options: Any) -> ListRegions.Response:
        await self._note(options)
        return ListRegions.Response()

    async def stream(self, text: str, region_ids: list[str], **options: Any) -> AsyncIterator[str | Answer]:
        await self._note({"text": text, "region_ids": region_ids, **options})
        yield "re"
        yield Answer(text="red")

    async def _note(self, options: dict[str, Any]) -> None:
        self.asked.append(options)
        await self.open.wait()
        if self.error is not None:
            raise self.error


def served(client: Client) -> MCPServer:
    server = MCPServer("test")
    Tools(cast(Any, None), cast(Any, client), "/gar").register(server)
    return server


def call(server: MCPServer, tool: str, **arguments: Any) -> Any:
    return asyncio.run(server.call_tool(tool, arguments))


def test_every_tool_says_that_it_only_reads_and_what_it_returns() -> None:
    tools = asyncio.run(served(Client()).list_tools())
    assert {tool.name for tool in tools} == {"list_regions", "find", "ask", "describe", "scene_graph", "overlay"}
    for tool in tools:
        assert tool.annotations is not None
        assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (True, False)
        assert tool.description
        assert (tool.output_schema is None) == (tool.name == "overlay"), "a picture has no schema"


def bounds(schema: Any) -> set[str]:
    """The words that bound values of a schema."""
    kinds = schema.get("anyOf", [schema])
    return {word for kind in kinds for word in kind} & {"maxLength", "maxItems", "maximum", "pattern"}


def test_every_argument_has_bounds() -> None:
    for tool in asyncio.run(served(Client()).list_tools()):
        for name, schema in tool.input_schema["properties"].items():
            if schema.get("type") == "boolean":
                continue
            assert bounds(schema), f"{tool.name}: {name}"
            if schema.get("type") == "array":
                assert bounds(schema["items"]), f"{tool.name}: an item of {name}"


def test_an_answer_is_the_last_part_of_the_stream() -> None:
    client = Client()
    result = call(served(client), "ask", question="What colour is <Prompt0>?", region_ids=["3"], stamp="12.000000005")
    assert result.structured_content["text"] == "red"
    (asked,) = client.asked
    assert (asked["text"], asked["region_ids"], asked["stamp"]) == (
        "What colour is <Prompt0>?",
        ["3"],
        Time(sec=12, nanosec=5),
    )
    assert asked["timeout"] == 30.0


@pytest.mark.parametrize(
    "arguments",
    [
        {"question": "x" * 2001},
        {"question": ""},
        {"region_ids": []},
        {"region_ids": ["1"] * 9},
        {"region_ids": ["x" * 256]},
        {"choices": ["a"] * 33},
        {"choices": [""]},
        {"stamp": "yesterday"},
        {"stamp": "1.5"},
        {"max_tokens": 513},
        {"timeout": 121.0},
        {"timeout": float("nan")},
        {"region_ids": "all"},
    ],
)
def test_what_is_out_of_bounds_never_reaches_the_node(arguments: dict[str, Any]) -> None:
    client = Client()
    given = {"question": "What is <Prompt0>?", "region_ids": ["1"], **arguments}
    with pytest.raises(ToolError):
        call(served(client), "ask", **given)
    assert client.asked == []


def test_an_error_of_the_node_has_its_code_and_text() -> None:
    client = Client()
    client.error = GarError(ErrorCode.NO_FRAME, "no image has arrived yet")
    with pytest.raises(ToolError, match=r"NO_FRAME \(2\): no image has arrived yet") as raised:
        call(served(client), "list_regions")
    assert not isinstance(raised.value, UnexpectedToolError)


def test_a_defect_is_not_told_to_the_agent() -> None:
    client = Client()
    client.error = RuntimeError("secret")
    with pytest.raises(UnexpectedToolError) as raised:
        call(served(client), "list_regions")
    assert "secret" not in str(raised.value)


def test_more_calls_than_wait_at_a_time_are_refused_and_none_counts_for_ever() -> None:
    async def crowd() -> list[Any]:
        client = Client()
        client.open.clear()
        server = served(client)
        calls = [asyncio.ensure_future(server.call_tool("list_regions", {})) for _ in range(MOST_CALLS + 2)]
        await asyncio.sleep(0.1)
        assert len(client.asked) == MOST_CALLS
        client.open.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        return [*outcomes, await server.call_tool("list_regions", {})]

    *outcomes, later = asyncio.run(crowd())
    refused = [str(one) for one in outcomes if isinstance(one, ToolError)]
    assert len(refused) == 2
    assert all(f"QUEUE_FULL (9): {MOST_CALLS} calls are waiting; retry later" in one for one in refused)
    assert later.structured_content["regions"] == []
