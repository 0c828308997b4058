# SPDX-License-Identifier: Apache-2.0
"""`gar mcp` over stdio, asked by the mcp package's own client, beside a living node."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from PIL import Image as Picture
from rclpy.qos import QoSProfile

from tests.processes import StartProcess, session_members
from tests.system.conftest import GarStarter
from tests.system.mcp_agent import agent
from tests.system.robot import PATIENCE, Mailbox, Robot, detected_scene, labelled_scene, wait_until

QUESTION = "What is <Prompt0>?"


@pytest.fixture
def minutes() -> None:
    """Of tests that are not `make test`'s: see tests/parts.py."""


def with_agent(use: Callable[[Any], Awaitable[Any]], gar: str = "/gar") -> Any:
    """What `use` returns, which is given a client that is connected."""

    async def connect() -> Any:
        async with agent(gar) as client:
            return await asyncio.wait_for(use(client), PATIENCE)

    return asyncio.run(connect())


def told(result: Any) -> str:
    """The text of an error."""
    assert result.is_error, result
    return str(result.content[0].text)


def test_an_agent_lists_finds_asks_describes_and_relates(robot: Robot, gar: GarStarter) -> None:
    async def look_around(client: Any) -> None:
        listed = (await client.call_tool("list_regions", {})).structured_content
        assert [(one["id"], one["label"]) for one in listed["regions"]] == [("left", "square"), ("right", "")]
        assert listed["regions"][0]["box"] == {"x": 40, "y": 80, "width": 60, "height": 60}
        asked = {"question": QUESTION, "region_ids": ["left"], "stamp": listed["stamp"]}
        reply = (await client.call_tool("ask", {**asked, "choices": ["red", "blue"]})).structured_content
        assert reply["stamp"] == listed["stamp"]
        assert reply["text"] in ("red", "blue")
        assert sum(reply["probabilities"].values()) == pytest.approx(1.0, abs=1e-3)
        reply = (await client.call_tool("ask", {**asked, "max_tokens": 2})).structured_content
        assert (reply["probabilities"], reply["complete"]) == ({}, False)
        described = await client.call_tool("describe", {"region_ids": ["right", "left"], "max_tokens": 1})
        assert [one["region_ids"] for one in described.structured_content["result"]] == [["right"], ["left"]]
        found = (await client.call_tool("find", {"words": "the red square"})).structured_content
        assert (found["asked"], found["skipped"]) == (2, 0)
        assert {one["id"] for one in found["regions"]} <= {"left", "right"}
        graph = (await client.call_tool("scene_graph", {"predicates": ["inside"]})).structured_content
        assert (graph["region_ids"], graph["asked"], graph["skipped"]) == (["left", "right"], 2, 0)

    gar(**{"memory.frames_kept": 1000})
    with robot.publishing(detected_scene):
        robot.client.wait_until_ready(PATIENCE)
        with_agent(look_around)


def test_the_nodes_errors_are_tool_errors_with_code_and_text(robot: Robot, gar: GarStarter) -> None:
    async def err(client: Any) -> None:
        assert "NO_FRAME (2): " in told(await client.call_tool("list_regions", {}))
        assert "NO_FRAME (2): " in told(await client.call_tool("overlay", {}))
        with robot.publishing(labelled_scene):
            await asyncio.to_thread(robot.client.wait_until_ready, PATIENCE)
            unknown = await client.call_tool("ask", {"question": QUESTION, "region_ids": ["99"]})
            assert "UNKNOWN_REGION (4): " in told(unknown)
            missing = await client.call_tool("ask", {"question": "Is <Prompt3> red?", "region_ids": ["1"]})
            assert "PROMPT_WITHOUT_REGION (7): " in told(missing)
            assert "question" in told(await client.call_tool("ask", {"question": "x" * 3000, "region_ids": ["1"]}))
            assert (await client.call_tool("list_regions", {})).is_error is False, "and the next call is answered"

    gar()
    robot.wait_for_state("active")
    with_agent(err)


def test_the_overlay_is_a_picture(robot: Robot, gar: GarStarter) -> None:
    async def look(client: Any) -> Any:
        return await client.call_tool("overlay", {"longest_edge": 160})

    gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        stamp, picture = with_agent(look).content
    assert stamp.text.startswith("stamp 1")
    assert picture.mime_type == "image/png"
    drawn = Picture.open(BytesIO(base64.b64decode(picture.data)))
    assert drawn.size == (160, 120)
    red, _, blue = np.asarray(drawn)[64, 35].tolist()
    assert red > blue, "the red square at the left"


@pytest.mark.usefixtures("minutes")
@pytest.mark.parametrize("name", ["/nobody", "/gar/front"])
def test_a_node_that_is_not_there_is_an_error(robot: Robot, gar: GarStarter, name: str) -> None:
    async def ask_all(client: Any) -> None:
        calls = [
            client.call_tool("list_regions", {}),
            client.call_tool("ask", {"question": QUESTION, "region_ids": ["1"], "timeout": 2.0}),
            client.call_tool("overlay", {"timeout": 2.0}),
        ]
        for result in await asyncio.gather(*calls):
            assert "NOT_ACTIVE (1): no " in told(result)

    gar()
    robot.wait_for_state("active")
    with_agent(ask_all, name)


def start_raw(*more: str) -> subprocess.Popen[bytes]:
    """A server whose stdin the test writes, in a session of its own."""
    command = [sys.executable, "-m", "gar_ros.cli.main", "mcp", *more]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "0"},
    },
}


def line(**message: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def test_a_closed_stdin_ends_the_process_and_stdout_is_the_protocols_alone(robot: Robot, gar: GarStarter) -> None:
    """A question is still being answered."""
    gar()
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        server = start_raw()
        assert server.stdin is not None
        server.stdin.write(line(**INITIALIZE) + line(method="notifications/initialized"))
        arguments = {"question": QUESTION, "region_ids": ["99"]}
        call = {"name": "ask", "arguments": arguments}
        server.stdin.write(b"no JSON\n" + line(id=2, method="tools/call", params=call))
        server.stdin.flush()
        assert server.stdout is not None
        replies: dict[Any, Any] = {}
        while 2 not in replies:
            reply = json.loads(server.stdout.readline())
            replies[reply.get("id")] = reply
        assert replies[1]["result"]["serverInfo"]["name"] == "gar_ros"
        assert replies[2]["result"]["isError"] is True
        call = {"name": "ask", "arguments": {**arguments, "region_ids": ["1"], "max_tokens": 512}}
        server.stdin.write(line(id=3, method="tools/call", params=call))
        out, err = server.communicate(timeout=PATIENCE)
    assert server.returncode == 0, err
    assert all(json.loads(one) for one in out.splitlines())
    assert session_members(server.pid) == []


@pytest.mark.usefixtures("minutes")
def test_an_interrupted_server_ends(robot: Robot) -> None:
    server = start_raw()
    assert server.stdin is not None and server.stdout is not None
    server.stdin.write(line(**INITIALIZE))
    server.stdin.flush()
    assert server.stdout.readline()
    server.send_signal(signal.SIGINT)
    assert server.wait(PATIENCE) == -signal.SIGINT
    assert session_members(server.pid) == []


@pytest.mark.usefixtures("minutes")
def test_an_agent_that_is_killed_leaves_no_process_and_the_node_serves(
    robot: Robot, slow_gar: GarStarter, start_process: StartProcess
) -> None:
    slow_gar(**{"request.max_tokens": 512})
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        client = start_process(sys.executable, "-m", "tests.system.mcp_agent", "1")
        client.wait_for_log("asking", PATIENCE)
        time.sleep(0.5)
        servers = children_of(client.pid)
        assert servers
        os.kill(client.pid, signal.SIGKILL)
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in servers), lambda: f"{servers} ended")
        assert robot.client.query(QUESTION, ["7"], max_tokens=1).region_ids == ["7"]


@pytest.mark.usefixtures("minutes")
@pytest.mark.parametrize("how", ["cancelled", "stdin closed"])
def test_the_node_stops_when_an_agent_gives_up_a_question(robot: Robot, slow_gar: GarStarter, how: str) -> None:
    async def give_up(client: Any) -> None:
        await client.call_tool("list_regions", {})
        call = client.call_tool("ask", {"question": QUESTION, "region_ids": ["1"], "max_tokens": 512, "timeout": 60.0})
        asking = asyncio.ensure_future(call)
        await asyncio.sleep(2.0)
        if how == "cancelled":
            asking.cancel()
            await asyncio.to_thread(wait_until, lambda: outcome(mailbox, "CANCELLED"), lambda: str(mailbox.message))

    slow_gar(**{"request.max_tokens": 512, "diagnostics.rate": 5.0})
    mailbox = Mailbox(robot, DiagnosticArray, "/diagnostics", QoSProfile(depth=10))
    with robot.publishing(labelled_scene):
        robot.client.wait_until_ready(PATIENCE)
        with_agent(give_up)
        wait_until(lambda: outcome(mailbox, "CANCELLED"), lambda: str(mailbox.message))
        assert not outcome(mailbox, "requests answered"), "the answer was there before"


def outcome(mailbox: Mailbox, code: str) -> bool:
    """Whether diagnostics have counted a request with this outcome."""
    values = {one.key: one.value for one in mailbox.wait().status[0].values}
    return any(code in key and value != "0" for key, value in values.items())


def children_of(parent: int) -> list[int]:
    """Their process ids."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in listed.stdout.split()]


@pytest.mark.usefixtures("minutes")
@pytest.mark.parametrize("name", ["no name", "/gar/"])
def test_what_is_no_name_is_refused_at_once(robot: Robot, name: str) -> None:
    server = start_raw("--gar", name)
    _, err = server.communicate(timeout=PATIENCE)
    assert server.returncode == 2
    assert b"--gar: expected the name of a node, got '" + name.encode() in err
