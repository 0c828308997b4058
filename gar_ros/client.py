# SPDX-License-Identifier: Apache-2.0
"""What a planner imports: typed calls to a running `gar` node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import rclpy
from builtin_interfaces.msg import Time
from rclpy.action.client import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.node import Node

from gar_ros.action import AskRegions
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Answer, Question, Region, SceneGraph
from gar_ros.srv import DescribeRegions, GetSceneGraph, ListRegions, QueryRegions

if TYPE_CHECKING:  # Python 3.10 has no Unpack of its own
    from typing_extensions import Unpack

TIMEOUT = 30.0
"""Seconds for a call that names no timeout."""

GRACE = 1.0
"""Seconds beyond the node's own timeout within which its reply must arrive."""

GRAPH_GRACE = 30.0
"""Seconds beyond its own timeout that a scene graph may take, since it can wait for the request before it."""


class Limits(TypedDict, total=False):
    """Keyword arguments that all questions take. A number that is left out or 0 means the node's default.

    stamp: of the image; None: the newest image. max_age: seconds; an older image is refused. timeout: seconds from
    the request's arrival at the node to its answer; left out: TIMEOUT.
    """

    stamp: Time | None
    max_age: float
    timeout: float


class DescribeOptions(Limits, total=False):
    """Keyword arguments of `describe`. max_tokens: of each description."""

    max_tokens: int


class QuestionOptions(Limits, total=False):
    """Keyword arguments of `query` and `stream`; Question.msg tells each in full.

    regions: regions that the caller adds, whose prompts follow those of region_ids. choices: makes it a closed
    question. ago: seconds before the newest image. keyframes: 2 or more ask about the only region through so many kept
    images. dialogue: "new", or that of an earlier answer to continue its conversation. max_tokens: of free text.
    """

    regions: Sequence[Region]
    choices: Sequence[str]
    ago: float
    keyframes: int
    dialogue: str
    max_tokens: int


class GraphOptions(Limits, total=False):
    """Keyword arguments of `scene_graph`. threshold: least probability. max_pairs: most ordered pairs of regions."""

    threshold: float
    max_pairs: int


class RegionClient:
    """Calls the services of a `gar` node and waits for their replies.

    All calls raise GarError with the node's error code; NOT_ACTIVE as well when there is no such node, TIMED_OUT as
    well when it doesn't reply. `node` is spun while a call waits, unless an executor spins it already: then any thread
    may call, except for callbacks that this executor must finish before it can take the reply.
    """

    def __init__(self, node: Node, gar: str = "gar") -> None:
        """gar: name of the gar node, relative to this node's namespace unless it starts with a slash."""
        self._node = node
        group = ReentrantCallbackGroup()
        self._query = node.create_client(QueryRegions, f"{gar}/query_regions", callback_group=group)
        self._describe = node.create_client(DescribeRegions, f"{gar}/describe_regions", callback_group=group)
        self._graph = node.create_client(GetSceneGraph, f"{gar}/get_scene_graph", callback_group=group)
        self._ask = ActionClient(node, AskRegions, f"{gar}/ask_regions", callback_group=group)
        self._list = node.create_client(ListRegions, f"{gar}/list_regions", callback_group=group)

    def query(self, text: str, region_ids: Sequence[str] = (), **options: Unpack[QuestionOptions]) -> Answer:
        """The answer to one question, in which <Prompt0>.. are `region_ids`, then `regions`."""
        question = _question(text, region_ids, options)
        return self._call(self._query, QueryRegions.Request(question=question), question.timeout).answer

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
        cancel: setting it ends the work between two tokens, and this call with CANCELLED.
        """
        question = _question(text, region_ids, options)
        deadline = time.monotonic() + question.timeout + GRACE
        if not self._ask.wait_for_server(question.timeout):
            raise GarError(ErrorCode.NOT_ACTIVE, "no action ask_regions: is the gar node running?")
        heard = _Text(on_token)
        sent = self._ask.send_goal_async(
            AskRegions.Goal(question=question), feedback_callback=lambda message: heard.grow(message.feedback.text)
        )
        handle = self._wait(sent, deadline, "ask_regions")
        if not handle.accepted:
            raise GarError(ErrorCode.NOT_ACTIVE, "the goal was not accepted: the gar node is shutting down")
        result = handle.get_result_async()
        cancelled = False
        while not result.done() and time.monotonic() < deadline:
            self._spin(result, 0.02)
            if cancel is not None and cancel.is_set() and not cancelled:
                cancelled = True
                handle.cancel_goal_async()
        answer: Answer = _checked(self._wait(result, deadline, "ask_regions").result).answer
        if not question.choices:
            heard.grow(answer.text)
        return answer

    def describe(self, region_ids: Sequence[str] = (), **options: Unpack[DescribeOptions]) -> list[Answer]:
        """One description for each region; for all regions of the image when none is named."""
        request = _filled(DescribeRegions.Request(region_ids=list(region_ids), timeout=TIMEOUT), options)
        return list(self._call(self._describe, request, request.timeout).answers)

    def scene_graph(
        self, region_ids: Sequence[str] = (), predicates: Sequence[str] = (), **options: Unpack[GraphOptions]
    ) -> SceneGraph:
        """The relations that hold between regions; between all regions of the image when none is named.

        predicates: as in "Is A ... B?"; none: the node's. What was not scored within `timeout` is counted in `skipped`.
        """
        request = GetSceneGraph.Request(region_ids=list(region_ids), predicates=list(predicates), timeout=TIMEOUT)
        _filled(request, options)
        return self._call(self._graph, request, request.timeout + GRAPH_GRACE).graph

    def list_regions(
        self, *, stamp: Time | None = None, with_masks: bool = False, timeout: float = 5.0
    ) -> ListRegions.Response:
        """The regions that can be asked about, with the header and age of their image."""
        request = ListRegions.Request(stamp=stamp or Time(), with_masks=with_masks)
        return self._call(self._list, request, timeout)

    def wait_until_ready(self, timeout: float) -> ListRegions.Response:
        """The newest image's regions, as soon as the node serves and has a fresh image with regions.

        Raises GarError that says why not after `timeout` seconds. Call it first: DDS can drop replies to a client that
        the node has only just discovered. A request with the `header.stamp` of what is returned is about that image,
        however long it waits.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.list_regions(timeout=min(1.0, timeout))
            except GarError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _call(self, client: Client, request: Any, timeout: float) -> Any:
        if not client.wait_for_service(timeout_sec=timeout):
            raise GarError(ErrorCode.NOT_ACTIVE, f"no service {client.service_name}: is the gar node running?")
        future = client.call_async(request)
        try:
            response = self._wait(future, time.monotonic() + timeout + GRACE, client.service_name)
        except GarError:
            client.remove_pending_request(future)
            raise
        return _checked(response)

    def _wait(self, future: Any, deadline: float, name: str) -> Any:
        """The future's result, waited for until `deadline` (monotonic seconds). Raises GarError TIMED_OUT."""
        self._spin(future, max(deadline - time.monotonic(), 0.0))
        if not future.done():
            raise GarError(ErrorCode.TIMED_OUT, f"no reply from {name} within the timeout and {GRACE:g} s")
        return future.result()

    def _spin(self, future: Any, seconds: float) -> None:
        """Waits until the future is done, at most `seconds`."""
        executor = self._node.executor  # rclpy leaves it set after the node was taken out
        if executor is None or self._node not in executor.get_nodes():
            rclpy.spin_until_future_complete(self._node, future, timeout_sec=seconds)
            return
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        done.wait(seconds)


class _Text:
    """A text that grows. DDS may drop feedback and deliver it after the result; no part is passed on twice."""

    def __init__(self, on_token: Callable[[str], None] | None) -> None:
        """on_token: called with each new part."""
        self._on_token = on_token
        self._text = ""
        self._lock = threading.Lock()

    def grow(self, text: str) -> None:
        """Takes the whole text so far; a shorter one came late and has nothing new."""
        with self._lock:
            if self._on_token is not None and len(text) > len(self._text):
                added, self._text = text[len(self._text) :], text
                self._on_token(added)


def _question(text: str, region_ids: Sequence[str], options: QuestionOptions) -> Question:
    """The message of one question, for the service and for the action."""
    return _filled(Question(text=text, region_ids=list(region_ids), timeout=TIMEOUT), options)


def _filled(message: Any, options: Mapping[str, Any]) -> Any:
    """The message with these of its fields set; None leaves a field as it is. Raises TypeError for any other name."""
    types = message.get_fields_and_field_types()
    for name, value in options.items():
        if name not in types:
            raise TypeError(f"expected keyword arguments out of {', '.join(types)}; got {name}")
        if value is not None:
            # An int in a float's field would end the process in rclpy's C code.
            setattr(message, name, float(value) if types[name] == "float" else value)
    return message


def _checked(response: Any) -> Any:
    """The response of the service or the result of the action. Raises GarError unless its error_code is OK."""
    if response.error_code != ErrorCode.OK:
        raise GarError(ErrorCode(response.error_code), response.error_msg)
    return response
