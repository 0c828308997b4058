# SPDX-License-Identifier: Apache-2.0
"""What a planner imports: typed calls to a running `gar` node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from builtin_interfaces.msg import Time
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.node import Node

from gar_ros.action import AskRegions, WatchRegions
from gar_ros.client_arguments import (
    InvalidArgumentError,
    checked_callable,
    checked_event,
    checked_flag,
    checked_seconds,
    filled,
)
from gar_ros.client_calls import GRACE, Calls
from gar_ros.client_hearing import HeardLooks, HeardText, OnLook
from gar_ros.client_options import DescribeOptions, FindOptions, GraphOptions, Limits, QuestionOptions, WatchOptions
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Answer, Question, SceneGraph
from gar_ros.srv import DescribeRegions, FindRegions, GetSceneGraph, ListRegions, QueryRegions

__all__ = [
    "GRACE",
    "GRAPH_GRACE",
    "TIMEOUT",
    "WATCH_TIMEOUT",
    "DescribeOptions",
    "FindOptions",
    "GraphOptions",
    "InvalidArgumentError",
    "Limits",
    "QuestionOptions",
    "RegionClient",
    "WatchOptions",
]

if TYPE_CHECKING:  # Python 3.10 has no Unpack of its own
    from typing_extensions import Unpack

NEW_DIALOGUE = "new"
"""As in Question.msg: begins a conversation."""

TIMEOUT = 30.0
"""Seconds for a question that names no timeout."""

WATCH_TIMEOUT = 300.0
"""Seconds for a watch that names no timeout."""

LIST_TIMEOUT = 5.0
"""Seconds for a list of regions, which needs no model."""

GRAPH_GRACE = 30.0
"""Seconds beyond its own timeout that a scene graph may take, since it can wait for the request before it."""


class RegionClient:
    """Calls the services of a `gar` node and waits for their replies.

    All calls raise GarError with the node's error code; NOT_ACTIVE as well when there is no such node, TIMED_OUT as
    well when it doesn't reply. An argument of a wrong type raises TypeError, one of an impossible value
    InvalidArgumentError, which is a GarError and a ValueError.

    Several threads may call at the same time. While a call waits it spins `node`, unless an executor has it already. In
    a callback of that executor a call raises RuntimeError if no other thread could receive its reply. When the gar node
    was restarted while a call waits, the request is sent again; a further turn of a dialogue fails instead, with
    UNKNOWN_DIALOGUE.

    Make one client for each gar node and keep it: it stays a part of `node` until that is destroyed.
    """

    def __init__(self, node: Node, gar: str = "gar") -> None:
        """gar: name of the gar node, relative to this node's namespace unless it starts with a slash."""
        self._calls = Calls(node, gar)
        group = ReentrantCallbackGroup()
        self._query = self._calls.client(QueryRegions, "query_regions", group)
        self._describe = self._calls.client(DescribeRegions, "describe_regions", group)
        self._graph = self._calls.client(GetSceneGraph, "get_scene_graph", group)
        self._find = self._calls.client(FindRegions, "find_regions", group)
        self._ask = self._calls.action_client(AskRegions, "ask_regions", group)
        self._watch = self._calls.action_client(WatchRegions, "watch_regions", group)
        self._list = self._calls.probe(group)

    def query(self, text: str, region_ids: Sequence[str] = (), **options: Unpack[QuestionOptions]) -> Answer:
        """The answer to one question, in which <Prompt0>.. are `region_ids`, then `regions`."""
        question = _question(text, region_ids, options)
        request = QueryRegions.Request(question=question)
        return self._call(self._query, request, question.timeout, question.dialogue).answer

    def stream(
        self,
        text: str,
        region_ids: Sequence[str] = (),
        on_token: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
        **options: Unpack[QuestionOptions],
    ) -> Answer:
        """The answer as of `query`, by the action.

        on_token: called with the text that each token adds, in the thread that spins the node, and, before this call
        returns, with what did not come that way: joined it is the answer's text. A closed question has no such text.
        If on_token raises, the work ends and this call raises the same.
        cancel: setting it ends the work between two tokens, and this call with CANCELLED.
        """
        question = _question(text, region_ids, options)
        checked_callable("on_token", on_token)
        checked_event("cancel", cancel)
        heard = HeardText(on_token, cancel)
        result = self._calls.run_goal(
            self._ask,
            "ask_regions",
            AskRegions.Goal(question=question),
            lambda message: heard.grow(message.feedback.text),
            heard.look,
            lambda: _lost_by_restart(question.dialogue, heard.began),
            question.timeout,
        )
        answer: Answer = _checked(result).answer
        if not question.choices:
            heard.grow(answer.text)
        heard.close()
        return answer

    def watch(
        self,
        text: str,
        region_ids: Sequence[str] = (),
        on_look: OnLook | None = None,
        cancel: threading.Event | None = None,
        **options: Unpack[WatchOptions],
    ) -> Answer:
        """The answer that was waited for, about the image with which it began to hold: `header.stamp` is the moment.

        on_look: called with the feedback of every look, in the thread that spins the node. If it raises, the watch ends
        and this call raises the same. cancel: setting it ends the watch, and this call with CANCELLED. Raises GarError
        TIMED_OUT when it did not hold in time, UNKNOWN_REGION when a region is lost for good.
        """
        arguments = {"text": _named("text", text), "region_ids": region_ids, **_with_timeout(options, WATCH_TIMEOUT)}
        goal = filled(WatchRegions.Goal(), arguments)
        checked_callable("on_look", on_look)
        checked_event("cancel", cancel)
        heard = HeardLooks(on_look, cancel)
        result = self._calls.run_goal(
            self._watch,
            "watch_regions",
            goal,
            lambda message: heard.take(message.feedback),
            heard.look,
            lambda: _lost_by_restart("", heard.began),
            goal.timeout,
        )
        heard.close()
        answer: Answer = _checked(result).answer
        return answer

    def describe(self, region_ids: Sequence[str] = (), **options: Unpack[DescribeOptions]) -> list[Answer]:
        """One description for each region; for all regions of the image when none is named."""
        request = filled(DescribeRegions.Request(), {"region_ids": region_ids, **_with_timeout(options)})
        return list(self._call(self._describe, request, request.timeout).answers)

    def scene_graph(
        self, region_ids: Sequence[str] = (), predicates: Sequence[str] = (), **options: Unpack[GraphOptions]
    ) -> SceneGraph:
        """The relations that hold between regions; between all regions of the image when none is named.

        predicates: as in "Is A ... B?"; none: the node's. What was not scored within `timeout` is counted in `skipped`.
        """
        arguments = {"region_ids": region_ids, "predicates": predicates, **_with_timeout(options)}
        request = filled(GetSceneGraph.Request(), arguments)
        return self._call(self._graph, request, request.timeout + GRAPH_GRACE).graph

    def find(self, words: str, region_ids: Sequence[str] = (), **options: Unpack[FindOptions]) -> FindRegions.Response:
        """The regions that fit the words, such as "the red mug" or "the ball inside the bowl", most probable first.

        region_ids: the candidates; all regions of the image when none is named. `regions` is empty when the words fit
        none. When `complete` is false, the timeout left no time for `skipped` of the candidates or pairs.
        """
        if words is None:
            raise TypeError("words: expected a str, got None")
        request = filled(FindRegions.Request(), {"words": words, "region_ids": region_ids, **_with_timeout(options)})
        return self._call(self._find, request, request.timeout)

    def list_regions(
        self, *, stamp: Time | None = None, with_masks: bool = False, timeout: float = LIST_TIMEOUT
    ) -> ListRegions.Response:
        """The regions that can be asked about, with the header and age of their image."""
        masks = False if with_masks is None else checked_flag("with_masks", with_masks)
        request = filled(ListRegions.Request(with_masks=masks), {"stamp": stamp})
        seconds = LIST_TIMEOUT if timeout is None else checked_seconds("timeout", timeout)
        return self._call(self._list, request, seconds)

    def wait_until_ready(self, timeout: float) -> ListRegions.Response:
        """The newest image's regions, as soon as the node serves and has a fresh image with regions.

        Raises GarError that says why not after `timeout` seconds. A request with the `header.stamp` of what is returned
        is about that image, however long it waits.
        """
        seconds = checked_seconds("timeout", timeout)
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.list_regions(timeout=min(1.0, seconds))
            except GarError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _call(self, client: Client, request: Any, timeout: float, dialogue: str = "") -> Any:
        """The reply of a service. dialogue: of the question. Raises GarError unless its error_code is OK."""
        return _checked(self._calls.reply(client, request, timeout, lambda: _lost_by_restart(dialogue, False)))


def _question(text: str, region_ids: Sequence[str], options: QuestionOptions) -> Question:
    """The message of one question, for the service and for the action."""
    return filled(Question(), {"text": _named("text", text), "region_ids": region_ids, **_with_timeout(options)})


def _named(name: str, value: str) -> str:
    """The argument, which must be there."""
    if value is None:
        raise TypeError(f"{name}: expected a str, got None")
    return value


def _with_timeout(options: Any, default: float = TIMEOUT) -> dict[str, Any]:
    """The options, with a timeout: without one the client couldn't know how long to wait."""
    timeout = options.get("timeout")
    given = timeout is not None and checked_seconds("timeout", timeout) > 0.0
    return {**options, "timeout": timeout if given else default}


def _lost_by_restart(dialogue: str, began: bool) -> GarError | None:
    """Why a question can't be asked again of a node that has just begun; None where it can.

    dialogue: of the question. began: whether a part of the answer was passed on already.
    """
    if dialogue not in ("", NEW_DIALOGUE):
        return GarError(
            ErrorCode.UNKNOWN_DIALOGUE,
            "the gar node was restarted, or a second one of its name began, while the question waited: dialogues don't "
            "outlive their node; begin another",
        )
    if began:
        return GarError(
            ErrorCode.CANCELLED,
            "the gar node was restarted, or a second one of its name began, while it answered: ask again",
        )
    return None


def _checked(response: Any) -> Any:
    """The response of the service or the result of the action. Raises GarError unless its error_code is OK."""
    if response.error_code == ErrorCode.OK:
        return response
    try:
        code = ErrorCode(response.error_code)
    except ValueError:
        raise GarError(
            ErrorCode.INTERNAL_ERROR,
            f"the gar node replied with error code {response.error_code}, which this client doesn't know: "
            f"'{response.error_msg}'; install the same version of gar_ros on both sides",
        ) from None
    raise GarError(code, response.error_msg)
