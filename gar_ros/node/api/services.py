# SPDX-License-Identifier: Apache-2.0
"""The services: message in, value through the server, message out. Every request gets exactly one reply."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from rclpy.node import Node

from gar_ros.frame import Frame
from gar_ros.messages.answers import answer_message, graph_message, track_message
from gar_ros.messages.findings import found_message
from gar_ros.messages.headers import duration_message, header_message, stamp_ns
from gar_ros.messages.regions import region_message, region_of
from gar_ros.msg import Question
from gar_ros.msg import Region as RegionMessage
from gar_ros.node.api.callers import REQUEST_NUMBER, Callers
from gar_ros.node.api.gate import Gate, Served
from gar_ros.node.api.paced import PacedGroup
from gar_ros.node.endpoints import DESCRIBE, FIND, GET_GRAPH, LIST, QUERY, Camera
from gar_ros.node.qos import REQUESTS
from gar_ros.rclpy_compat import count_clients
from gar_ros.region import Region
from gar_ros.serving.fair_queue import Caller
from gar_ros.serving.find import FindRequest
from gar_ros.serving.requests import Query, Request
from gar_ros.serving.scene_graph import GraphRequest
from gar_ros.srv import DescribeRegions, FindRegions, GetSceneGraph, ListRegions, QueryRegions


class Services:
    """Replies to all requests from the node's start to its end, with a refusal while the gate is closed.

    Callbacks wait for the model, each in a thread of the executor.
    """

    def __init__(self, node: Node, gate: Gate, lifetime: ExitStack, camera: Camera) -> None:
        """The services exist until `lifetime` ends."""
        self._gate, self._camera = gate, camera
        self._callers = {kind: Callers() for kind in (QueryRegions, DescribeRegions, GetSceneGraph, FindRegions)}
        for endpoint, fill in (
            (QUERY, self._query),
            (DESCRIBE, self._describe),
            (GET_GRAPH, self._graph),
            (FIND, self._find),
            (LIST, self._list),  # the last: the client's probe of whether it can be heard, see gar_ros/client_calls.py
        ):
            name = camera.of(endpoint).name
            group = PacedGroup(partial(count_clients, node, node.resolve_service_name(name)))
            reply = partial(self._reply, fill, endpoint is not LIST, group)
            service = node.create_service(endpoint.type, name, reply, qos_profile=REQUESTS, callback_group=group)
            lifetime.callback(node.destroy_service, service)

    def _reply(
        self,
        fill: Callable[[Any, Served, Any], None],
        counted: bool,
        group: PacedGroup,
        request: Any,
        response: Any,
    ) -> Any:
        if self._gate.reply(partial(fill, request), response, counted) is not None:
            group.refused()
        return response

    def _query(self, request: QueryRegions.Request, served: Served, response: QueryRegions.Response) -> None:
        answered = served.server.query(query_of(request.question, self._caller(QueryRegions)))
        served.on_answer(answered)
        response.answer = answer_message(answered)

    def _describe(self, request: DescribeRegions.Request, served: Served, response: DescribeRegions.Response) -> None:
        wanted = Request(**_common(request, self._caller(DescribeRegions)), max_tokens=request.max_tokens)
        job = served.server.describe(wanted)
        answers = []  # a timeout doesn't take away the descriptions that are ready
        for record in job.items():
            served.on_answer(record)
            answers.append(answer_message(record))
        response.answers = answers
        job.result()

    def _list(self, request: ListRegions.Request, served: Served, response: ListRegions.Response) -> None:
        listing = served.server.listing(stamp_ns(request.stamp))
        response.header = header_message(listing.frame.frame_id, listing.frame.stamp_ns)
        response.age = duration_message(listing.age_ns)
        tracks = {track.id: (track, state) for track, state in served.tracks()}
        here = [tracks.pop(region.id) for region, _ in listing.regions if region.id in tracks]
        response.tracks = [track_message(*one) for one in [*here, *tracks.values()]]
        response.regions = [region_message(region, request.with_masks, extent) for region, extent in listing.regions]

    def _graph(self, request: GetSceneGraph.Request, served: Served, response: GetSceneGraph.Response) -> None:
        wanted = GraphRequest(
            **_common(request, self._caller(GetSceneGraph)),
            predicates=tuple(request.predicates),
            threshold=request.threshold,
            max_pairs=request.max_pairs,
        )
        response.graph = graph_message(served.grapher.graph(wanted))

    def _find(self, request: FindRegions.Request, served: Served, response: FindRegions.Response) -> None:
        wanted = FindRequest(
            **_common(request, self._caller(FindRegions)),
            words=request.words,
            remembered=request.remembered,
            least_probability=request.least_probability,
            max_results=request.max_results,
        )
        findings = served.finder.find(wanted)
        response.header = header_message(findings.frame_id, findings.stamp_ns)
        response.regions = [found_message(found) for found in findings.regions]
        response.pairs = findings.pairs
        response.asked, response.skipped = findings.asked, findings.skipped
        response.complete = findings.skipped == 0
        response.latency = duration_message(findings.latency_ns)

    def _caller(self, kind: type) -> Caller:
        """Who sent the request of this service that the present callback is called for."""
        # All services are one door, but each has clients of its own.
        client = self._callers[kind].client_of(REQUEST_NUMBER.get())
        number = client * len(self._callers) + list(self._callers).index(kind)
        return Caller("services", number, self._camera.name)


def query_of(question: Question, caller: Caller) -> Query:
    """The query of a service's or an action's caller."""
    return Query(
        **_common(question, caller),
        max_tokens=question.max_tokens,
        question=question.text,
        ago=question.ago,
        keyframes=question.keyframes,
        dialogue=question.dialogue,
        choices=tuple(question.choices),
        ad_hoc=tuple(partial(_ad_hoc, index, region) for index, region in enumerate(question.regions)),
    )


def _common(
    request: Question | DescribeRegions.Request | GetSceneGraph.Request | FindRegions.Request, caller: Caller
) -> dict[str, Any]:
    """The fields of serving.Request that all four have."""
    return {
        "region_ids": tuple(request.region_ids),
        "stamp_ns": stamp_ns(request.stamp),
        "max_age": request.max_age,
        "timeout": request.timeout,
        "caller": caller,
    }


def _ad_hoc(index: int, message: RegionMessage, frame: Frame) -> Region:
    """The region that a caller added to the question; one without id is named after its index among them."""
    message.id = message.id or f"request:{index}"
    return region_of(message, frame.size, frame.stamp_ns)
