"""What a planner imports: typed calls to a running `gar` node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.action.client import ActionClient
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.node import Node

from gar_ros.action import AskRegions
from gar_ros.errors import ErrorCode, GarError
from gar_ros.msg import Answer, Region, SceneGraph
from gar_ros.srv import DescribeRegions, GetSceneGraph, ListRegions, QueryRegions

GRACE = 1.0
"""Seconds that a reply may travel beyond the node's own timeout."""

GRAPH_GRACE = 30.0
"""Seconds that a scene graph may wait for the request before it, beyond its own timeout."""


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

    def query(
        self,
        question: str,
        region_ids: Sequence[str] = (),
        *,
        regions: Sequence[Region] = (),
        choices: Sequence[str] = (),
        stamp: Time | None = None,
        ago: float = 0.0,
        keyframes: int = 0,
        dialogue: str = "",
        max_tokens: int = 0,
        max_age: float = 0.0,
        timeout: float = 30.0,
    ) -> Answer:
        """Asks about <Prompt0>.., which are region_ids, then regions. stamp: of the image; None: the newest.

        choices: makes it a closed question. ago: seconds before the newest image. keyframes: 2 or more ask about the
        only region through so many kept images. dialogue: "new", or that of an earlier answer to go on. max_age:
        seconds. 0 as limit: the node's default. timeout: seconds.
        """
        request = QueryRegions.Request(
            question=question,
            region_ids=list(region_ids),
            regions=list(regions),
            choices=list(choices),
            stamp=stamp or Time(),
            ago=float(ago),
            keyframes=keyframes,
            dialogue=dialogue,
            max_tokens=max_tokens,
            max_age=float(max_age),  # an int would end the process in rclpy's C code
            timeout=float(timeout),
        )
        return self._call(self._query, request, timeout).answer

    def stream(
        self,
        question: str,
        region_ids: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        cancel: threading.Event | None = None,
        *,
        regions: Sequence[Region] = (),
        choices: Sequence[str] = (),
        stamp: Time | None = None,
        ago: float = 0.0,
        keyframes: int = 0,
        dialogue: str = "",
        max_tokens: int = 0,
        max_age: float = 0.0,
        timeout: float = 30.0,
    ) -> Answer:
        """As `query`, by the action: on_text hears what is added to the text, in the thread that spins the node.

        Setting `cancel` ends the work between two tokens, and this call with CANCELLED.
        """
        goal = AskRegions.Goal(
            question=question,
            region_ids=list(region_ids),
            regions=list(regions),
            choices=list(choices),
            stamp=stamp or Time(),
            ago=float(ago),
            keyframes=keyframes,
            dialogue=dialogue,
            max_tokens=max_tokens,
            max_age=float(max_age),
            timeout=float(timeout),
        )
        deadline = time.monotonic() + timeout + GRACE
        if not self._ask.wait_for_server(timeout):
            raise GarError(ErrorCode.NOT_ACTIVE, "no action ask_regions: is the gar node running?")
        hear: Any = None if on_text is None else (lambda message: on_text(message.feedback.added))
        handle = self._wait(self._ask.send_goal_async(goal, feedback_callback=hear), deadline, "ask_regions")
        result = handle.get_result_async()
        cancelled = False
        while not result.done() and time.monotonic() < deadline:
            self._spin(result, 0.02)
            if cancel is not None and cancel.is_set() and not cancelled:
                cancelled = True
                handle.cancel_goal_async()
        response = self._wait(result, deadline, "ask_regions").result
        if response.error_code != ErrorCode.OK:
            raise GarError(ErrorCode(response.error_code), response.error_msg)
        return response.answer

    def describe(
        self,
        region_ids: Sequence[str] = (),
        *,
        stamp: Time | None = None,
        max_tokens: int = 0,
        max_age: float = 0.0,
        timeout: float = 30.0,
    ) -> list[Answer]:
        """One description for each region, for all regions of the image when none is named; the rest as in `query`."""
        request = DescribeRegions.Request(
            region_ids=list(region_ids),
            stamp=stamp or Time(),
            max_tokens=max_tokens,
            max_age=float(max_age),
            timeout=float(timeout),
        )
        return list(self._call(self._describe, request, timeout).answers)

    def scene_graph(
        self,
        region_ids: Sequence[str] = (),
        predicates: Sequence[str] = (),
        *,
        threshold: float = 0.0,
        max_pairs: int = 0,
        stamp: Time | None = None,
        max_age: float = 0.0,
        timeout: float = 30.0,
    ) -> SceneGraph:
        """The relations that hold between regions, all of the image when none is named; the rest as in `query`.

        predicates: as in "Is A ... B?"; none: the node's. threshold: least probability. max_pairs: ordered pairs.
        What was not scored within `timeout` is counted in `skipped`.
        """
        request = GetSceneGraph.Request(
            region_ids=list(region_ids),
            predicates=list(predicates),
            threshold=float(threshold),
            max_pairs=max_pairs,
            stamp=stamp or Time(),
            max_age=float(max_age),
            timeout=float(timeout),
        )
        return self._call(self._graph, request, timeout + GRAPH_GRACE).graph

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
        if response.error_code != ErrorCode.OK:
            raise GarError(ErrorCode(response.error_code), response.error_msg)
        return response

    def _wait(self, future: Any, deadline: float, name: str) -> Any:
        """What the future brings, at most until `deadline` (monotonic seconds)."""
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
