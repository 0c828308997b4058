# SPDX-License-Identifier: Apache-2.0
"""What the client sends: the same question by service and action, with keyword arguments that stand once."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import rclpy
from builtin_interfaces.msg import Time
from rclpy.action.server import ActionServer, ServerGoalHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from gar_ros.action import AskRegions
from gar_ros.client import TIMEOUT, DescribeOptions, GraphOptions, QuestionOptions, RegionClient
from gar_ros.client_asyncio import AsyncRegionClient
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Answer, Question, Region
from gar_ros.node.endpoints import ASK, DESCRIBE, GET_GRAPH, QUERY, Endpoint
from gar_ros.srv import DescribeRegions, GetSceneGraph, QueryRegions

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


class Recorder:
    """A node named gar that keeps the requests it receives and replies to each with `reply`.

    Goals get `feedback`, texts so far, and the result's `text`.
    """

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.reply = ErrorCode.OK
        self.feedback: Sequence[str] = ()
        self.text = ""
        self._node = rclpy.create_node("gar")
        for endpoint in (QUERY, DESCRIBE, GET_GRAPH):
            self._node.create_service(endpoint.type, endpoint.name, self._serve)
        self._action = ActionServer(self._node, ASK.type, ASK.name, self._execute)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin)
        self._thread.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._action.destroy()
        self._node.destroy_node()

    def _serve(self, request: Any, response: Any) -> Any:
        self.received.append(request)
        response.error_code, response.error_msg = int(self.reply), self.reply.name.lower()
        return response

    def _execute(self, goal: ServerGoalHandle) -> Any:
        for text in self.feedback:
            goal.publish_feedback(AskRegions.Feedback(text=text))
        goal.succeed()
        return self._serve(goal.request, AskRegions.Result(answer=Answer(text=self.text)))


@pytest.fixture
def gar(ros_node: Node) -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()


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
    ]


def test_what_is_left_out_is_the_nodes_default_but_for_the_timeout(ros_node: Node, gar: Recorder) -> None:
    client = RegionClient(ros_node)
    client.query("What?")
    client.describe()
    client.scene_graph()
    assert gar.received == [
        QueryRegions.Request(question=Question(text="What?", timeout=TIMEOUT)),
        DescribeRegions.Request(timeout=TIMEOUT),
        GetSceneGraph.Request(timeout=TIMEOUT),
    ]


@pytest.mark.parametrize(
    ("message", "given", "options"),
    [
        (Question, {"text", "region_ids"}, QuestionOptions),
        (DescribeRegions.Request, {"region_ids"}, DescribeOptions),
        (GetSceneGraph.Request, {"region_ids", "predicates"}, GraphOptions),
    ],
)
def test_every_field_of_a_request_is_an_argument(message: Any, given: set[str], options: Any) -> None:
    assert set(message.get_fields_and_field_types()) == given | set(options.__annotations__)


@pytest.mark.parametrize("call", ["query", "stream", "describe", "scene_graph"])
def test_a_misspelt_argument_is_named_before_anything_is_sent(ros_node: Node, call: str) -> None:
    ask: Callable[..., object] = getattr(RegionClient(ros_node), call)
    with pytest.raises(TypeError, match=r"expected keyword arguments out of .*max_age, timeout; got max_aeg"):
        ask("What?", max_aeg=2.0)


@pytest.mark.parametrize("call", ["query", "describe", "scene_graph", "list_regions"])
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


@pytest.mark.parametrize("endpoint", [QUERY, ASK, DESCRIBE, GET_GRAPH])
def test_every_refusal_is_raised_with_code_and_message(ros_node: Node, gar: Recorder, endpoint: Endpoint) -> None:
    client = RegionClient(ros_node)
    calls: dict[Endpoint, Callable[..., object]] = {
        QUERY: client.query,
        ASK: client.stream,
        DESCRIBE: client.describe,
        GET_GRAPH: client.scene_graph,
    }
    gar.reply = ErrorCode.QUEUE_FULL
    with pytest.raises(GarError, match="queue_full") as caught:
        calls[endpoint](*("What?",) if endpoint in (QUERY, ASK) else ())
    assert caught.value.code is ErrorCode.QUEUE_FULL
