"""The services: message in, value through the server, message out. Every request gets exactly one reply."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from gar_ros.action import AskRegions
from gar_ros.frame import Frame
from gar_ros.memory.answers import AnswerRecord
from gar_ros.messages.convert import (
    answer_message,
    duration_message,
    graph_message,
    header_message,
    region_message,
    region_of,
    stamp_ns,
    track_message,
)
from gar_ros.msg import Region as RegionMessage
from gar_ros.node.api.gate import Gate, Served
from gar_ros.node.endpoints import DESCRIBE, GET_GRAPH, LIST, QUERY
from gar_ros.region import Region
from gar_ros.serving.requests import Query, Request
from gar_ros.serving.scene_graph import GraphRequest
from gar_ros.srv import DescribeRegions, GetSceneGraph, ListRegions, QueryRegions


class Services:
    """Replies to all requests from the node's start to its end, with a refusal while the gate is closed.

    Callbacks wait for the model, each in a thread of the executor.
    """

    def __init__(self, node: Node, gate: Gate, lifetime: ExitStack) -> None:
        """The services exist until `lifetime` ends."""
        self._gate = gate
        group = ReentrantCallbackGroup()
        for endpoint, fill in (
            (QUERY, self._query),
            (DESCRIBE, self._describe),
            (LIST, self._list),
            (GET_GRAPH, self._graph),
        ):
            service = node.create_service(
                endpoint.type, endpoint.name, partial(self._reply, fill, endpoint is not LIST), callback_group=group
            )
            lifetime.callback(node.destroy_service, service)

    def _reply(self, fill: Callable[[Any, Served, Any], None], counted: bool, request: Any, response: Any) -> Any:
        self._gate.reply(partial(fill, request), response, counted)
        return response

    def _query(self, request: QueryRegions.Request, served: Served, response: QueryRegions.Response) -> None:
        answered = served.server.query(query_of(request))
        served.on_answer(answered)
        response.answer = answer_message(answered)

    def _describe(self, request: DescribeRegions.Request, served: Served, response: DescribeRegions.Response) -> None:
        wanted = Request(**_common(request))
        done: list[AnswerRecord] = []
        try:
            served.server.describe(wanted, done)
        finally:  # a timeout doesn't take away the descriptions that are ready
            answers = list(done)
            for answered in answers:
                served.on_answer(answered)
            response.answers = [answer_message(answered) for answered in answers]

    def _list(self, request: ListRegions.Request, served: Served, response: ListRegions.Response) -> None:
        frame, age_ns, regions = served.server.listing(stamp_ns(request.stamp))
        response.header = header_message(frame.frame_id, frame.stamp_ns)
        response.age = duration_message(age_ns)
        tracks = {track.id: (track, state) for track, state in served.tracks()}
        here = [tracks.pop(region.id) for region, _ in regions if region.id in tracks]
        response.tracks = [track_message(*one) for one in [*here, *tracks.values()]]
        response.regions = [region_message(region, request.with_masks, extent) for region, extent in regions]

    def _graph(self, request: GetSceneGraph.Request, served: Served, response: GetSceneGraph.Response) -> None:
        wanted = GraphRequest(
            **_common(request),
            predicates=tuple(request.predicates),
            threshold=request.threshold,
            max_pairs=request.max_pairs,
        )
        response.graph = graph_message(served.grapher.graph(wanted))


def query_of(request: QueryRegions.Request | AskRegions.Goal) -> Query:
    """The question of a service's or an action's caller."""
    return Query(
        **_common(request),
        question=request.question,
        ago=request.ago,
        keyframes=request.keyframes,
        dialogue=request.dialogue,
        choices=tuple(request.choices),
        ad_hoc=tuple(partial(_ad_hoc, number, region) for number, region in enumerate(request.regions)),
    )


def _common(
    request: QueryRegions.Request | AskRegions.Goal | DescribeRegions.Request | GetSceneGraph.Request,
) -> dict[str, Any]:
    """The fields of serving.Request that the request has."""
    return {
        "region_ids": tuple(request.region_ids),
        "stamp_ns": stamp_ns(request.stamp),
        "max_tokens": getattr(request, "max_tokens", 0),
        "max_age": request.max_age,
        "timeout": request.timeout,
    }


def _ad_hoc(number: int, message: RegionMessage, frame: Frame) -> Region:
    """Region of a request; one without id gets its place in the request as id."""
    message.id = message.id or f"request:{number}"
    return region_of(message, frame.size, frame.stamp_ns)
