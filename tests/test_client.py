# SPDX-License-Identifier: Apache-2.0
"""What the client sends: the same question by service and action, with keyword arguments that stand once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from builtin_interfaces.msg import Time
from rclpy.node import Node

from gar_ros.action import AskRegions
from gar_ros.client import TIMEOUT, DescribeOptions, FindOptions, GraphOptions, QuestionOptions, RegionClient
from gar_ros.client_asyncio import AsyncRegionClient
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Question, Region
from gar_ros.node.endpoints import ASK, DESCRIBE, FIND, GET_GRAPH, QUERY, Endpoint
from gar_ros.srv import DescribeRegions, FindRegions, GetSceneGraph, QueryRegions
from tests.recorder import Recorder, recording

# Every keyword argument; numbers as a caller types them: whole ones are ints.
QUESTION: QuestionOptions = {
    "regions": (Region(id="drawn"),),
    "choices": ("yes", "no"),
    "stamp": Time(sec=7),
    "ago": 2,
    "keyframes": 3,
    "dialogue": "new",
    "max_tokens": 5,
    "max_age": 4,
    "timeout": 9,
}
DESCRIBE_ALL: DescribeOptions = {"stamp": None, "max_tokens": 5, "max_age": 4, "timeout": 9}
GRAPH: GraphOptions = {"threshold": 1, "max_pairs": 6, "stamp": Time(sec=7), "max_age": 4, "timeout": 9}

FIND_ONE: FindOptions = {
    "remembered": True,
    "least_probability": 1,
    "max_results": 6,
    "stamp": Time(sec=7),
    "max_age": 4,
    "timeout": 9,
}


@pytest.fixture
def gar(ros_node: Node) -> Iterator[Recorder]:
    """What the client asks."""
    with recording() as recorder:
        yield recorder


def test_service_and_action_are_sent_the_same_question(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)
    client.query("<Prompt0>?", ["5"], **QUESTION)
    client.stream("<Prompt0>?", ["5"], **QUESTION)
    by_service, by_action = gar.received
    assert isinstance(by_service, QueryRegions.Request) and isinstance(by_action, AskRegions.Goal)
    assert by_service.question == by_action.question
    assert by_service.question == Question(
        text="<Prompt0>?",
        region_ids=["5"],
        regions=[Region(id="drawn")],
        choices=["yes", "no"],
        stamp=Time(sec=7),
        ago=2.0,
        keyframes=3,
        dialogue="new",
        max_tokens=5,
        max_age=4.0,
        timeout=9.0,
    )


def test_whole_numbers_are_sent_in_every_request(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)
    client.describe(["5"], **DESCRIBE_ALL)
    client.scene_graph(["5"], ["inside"], **GRAPH)
    client.find("red mug", ["5"], **FIND_ONE)
    assert gar.received == [
        DescribeRegions.Request(region_ids=["5"], max_tokens=5, max_age=4.0, timeout=9.0),
        GetSceneGraph.Request(
            region_ids=["5"],
            predicates=["inside"],
            threshold=1.0,
            max_pairs=6,
            stamp=Time(sec=7),
            max_age=4.0,
            timeout=9.0,
        ),
        FindRegions.Request(
            words="red mug",
            region_ids=["5"],
            remembered=True,
            least_probability=1.0,
            max_results=6,
            stamp=Time(sec=7),
            max_age=4.0,
            timeout=9.0,
        ),
    ]


def test_what_is_left_out_is_the_nodes_default_but_for_the_timeout(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)
    client.query("What?")
    client.describe()
    client.scene_graph()
    client.find("red mug")
    assert gar.received == [
        QueryRegions.Request(question=Question(text="What?", timeout=TIMEOUT)),
        DescribeRegions.Request(timeout=TIMEOUT),
        GetSceneGraph.Request(timeout=TIMEOUT),
        FindRegions.Request(words="red mug", timeout=TIMEOUT),
    ]


@pytest.mark.parametrize(
    ("message", "given", "options"),
    [
        (Question, {"text", "region_ids"}, QuestionOptions),
        (DescribeRegions.Request, {"region_ids"}, DescribeOptions),
        (GetSceneGraph.Request, {"region_ids", "predicates"}, GraphOptions),
        (FindRegions.Request, {"words", "region_ids"}, FindOptions),
    ],
)
def test_every_field_of_a_request_is_an_argument(message: Any, given: set[str], options: Any) -> None:
    assert set(message.get_fields_and_field_types()) == given | set(options.__annotations__)


@pytest.mark.parametrize("call", ["query", "stream", "describe", "scene_graph", "find"])
def test_a_misspelt_argument_is_named_before_anything_is_sent(ros_node: Node, call: str) -> None:
    ask: Callable[..., object] = getattr(RegionClient(ros_node), call)
    with pytest.raises(TypeError, match=r"expected keyword arguments out of .*max_age, timeout; got max_aeg"):
        ask("What?", max_aeg=2.0)


@pytest.mark.parametrize("call", ["query", "describe", "scene_graph", "find", "list_regions"])
def test_the_asyncio_client_takes_the_same_arguments(call: str) -> None:
    ours, theirs = (inspect.signature(getattr(client, call)) for client in (RegionClient, AsyncRegionClient))
    assert ours == theirs


@pytest.mark.parametrize("feedback", [[], ["a", "a yellow"], ["a", "a yellow", "a yellow mug"], ["", "a yellow mug"]])
def test_the_parts_are_the_answers_text_whatever_feedback_is_lost(
    ros_node: Node, gar: Recorder, feedback: list[str]
) -> None:
    gar.feedback, gar.text = feedback, "a yellow mug"
    parts: list[str] = []
    assert RegionClient(ros_node).stream("What?", on_token=parts.append).text == "a yellow mug"
    assert "".join(parts) == "a yellow mug" and "" not in parts


def test_the_text_of_a_closed_question_is_not_passed_on(ros_node: Node, gar: Recorder) -> None:
    gar.text = "yes"
    parts: list[str] = []
    assert RegionClient(ros_node).stream("Red?", on_token=parts.append, choices=["yes", "no"]).text == "yes"
    assert parts == []


@pytest.mark.parametrize("endpoint", [QUERY, ASK, DESCRIBE, GET_GRAPH, FIND])
def test_every_refusal_is_raised_with_code_and_message(ros_node: Node, gar: Recorder, endpoint: Endpoint) -> None:
    client = RegionClient(ros_node)
    calls: dict[Endpoint, Callable[..., object]] = {
        QUERY: client.query,
        ASK: client.stream,
        DESCRIBE: client.describe,
        GET_GRAPH: client.scene_graph,
        FIND: client.find,
    }
    gar.reply = ErrorCode.QUEUE_FULL
    with pytest.raises(GarError, match="queue_full") as caught:
        calls[endpoint](*("What?",) if endpoint in (QUERY, ASK, FIND) else ())
    assert caught.value.code is ErrorCode.QUEUE_FULL


@pytest.mark.parametrize("call", ["query", "stream", "describe", "scene_graph", "find"])
def test_an_error_code_of_another_version_is_told_as_such(ros_node: Node, gar: Recorder, call: str) -> None:
    gar.reply = 999
    ask: Callable[..., object] = getattr(RegionClient(ros_node), call)
    with pytest.raises(GarError, match="error code 999, which this client doesn't know") as caught:
        ask(*("What?",) if call in ("query", "stream", "find") else ())
    assert caught.value.code is ErrorCode.INTERNAL_ERROR


def test_what_on_token_raises_ends_the_stream_and_nothing_else(ros_node: Node, gar: Recorder) -> None:
    gar.feedback, gar.text = ["a", "a mug"], "a mug"
    client = RegionClient(ros_node)

    def fail(part: str) -> None:
        raise KeyError(part)

    with pytest.raises(KeyError, match="a"):
        client.stream("What?", on_token=fail)
    assert client.stream("What?").text == "a mug"


def test_a_timeout_of_0_is_the_usual_one(ros_node: Node, gar: Recorder) -> None:
    RegionClient(ros_node).query("What?", timeout=0)
    assert gar.received == [QueryRegions.Request(question=Question(text="What?", timeout=TIMEOUT))]
