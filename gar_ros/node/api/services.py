"""The services: message in, value through the server, message out. Every request gets exactly one reply."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node

from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.tracks import Track, TrackState
from gar_ros.messages.answers import answer_message, graph_message, track_message
from gar_ros.messages.headers import duration_message, header_message, stamp_ns
from gar_ros.messages.regions import region_message, region_of
from gar_ros.msg import Question
from gar_ros.msg import Region as RegionMessage
from gar_ros.node.endpoints import DESCRIBE, GET_GRAPH, LIST, QUERY
from gar_ros.region import Region
from gar_ros.serving.requests import Query, Request
from gar_ros.serving.scene_graph import Grapher, GraphRequest
from gar_ros.serving.server import Server
from gar_ros.serving.statistics import RequestStatistics
from gar_ros.srv import DescribeRegions, GetSceneGraph, ListRegions, QueryRegions


class Services:
    """Replies to all requests from the node's start to its end, with a refusal while it doesn't serve.

    Callbacks wait for the model, each in a thread of the executor.
    """

    def __init__(self, node: Node, statistics: RequestStatistics) -> None:
        """statistics: told every reply."""
        self._statistics = statistics
        self._logger = node.get_logger()
        self._server: Server | None = None
        self._refusal = GarError(ErrorCode.NOT_ACTIVE, "the node is not active: it was not configured yet")
        self._on_answer: Callable[[AnswerRecord], None]
        group = ReentrantCallbackGroup()
        for endpoint, callback in (
            (QUERY, self._query),
            (DESCRIBE, self._describe),
            (LIST, self._list),
            (GET_GRAPH, self._graph),
        ):
            node.create_service(endpoint.type, endpoint.name, partial(self._reply, callback), callback_group=group)

    def serve(
        self,
        server: Server,
        grapher: Grapher,
        tracks: Callable[[], list[tuple[Track, TrackState]]],
        on_answer: Callable[[AnswerRecord], None],
    ) -> None:
        """Lets `server` and `grapher` answer from now on. tracks: what is remembered. on_answer: told every answer."""
        self._grapher, self._tracks = grapher, tracks
        self._on_answer = on_answer
        self._server = server

    def stop_serving(self, refusal: GarError) -> None:
        """Answers every request with `refusal` from now on."""
        self._server = None
        self._refusal = refusal

    def _reply(self, serve: Callable[[Server, Any, Any], None], request: Any, response: Any) -> Any:
        """Fills the response by `serve`; what that raises becomes error_code and error_msg."""
        server, arrival = self._server, time.monotonic()
        try:
            if server is None:
                # A new one: an exception that is raised again and again keeps the frames of every time.
                raise GarError(self._refusal.code, self._refusal.message)
            serve(server, request, response)
        except GarError as error:
            _fail(response, error.code, error.message)
        except Exception as error:  # noqa: BLE001 a planner must hear of a defect, not wait for its timeout
            self._logger.error(traceback.format_exc())
            _fail(response, ErrorCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}; see the node's log")
        if serve != self._list:
            self._statistics.add(ErrorCode(response.error_code), time.monotonic() - arrival)
        return response

    def _query(self, server: Server, request: QueryRegions.Request, response: QueryRegions.Response) -> None:
        answered = server.query(query_of(request.question))
        self._on_answer(answered)
        response.answer = answer_message(answered)

    def _describe(self, server: Server, request: DescribeRegions.Request, response: DescribeRegions.Response) -> None:
        wanted = Request(**_common(request), max_tokens=request.max_tokens)
        job = server.describe(wanted)
        answers = []  # a timeout doesn't take away the descriptions that are ready
        for answered in job.items():
            self._on_answer(answered)
            answers.append(answer_message(answered))
        response.answers = answers
        job.result()

    def _list(self, server: Server, request: ListRegions.Request, response: ListRegions.Response) -> None:
        listing = server.listing(stamp_ns(request.stamp))
        response.header = header_message(listing.frame.frame_id, listing.frame.stamp_ns)
        response.age = duration_message(listing.age_ns)
        tracks = {track.id: (track, state) for track, state in self._tracks()}
        here = [tracks.pop(region.id) for region, _ in listing.regions if region.id in tracks]
        response.tracks = [track_message(*one) for one in [*here, *tracks.values()]]
        response.regions = [region_message(region, request.with_masks, extent) for region, extent in listing.regions]

    def _graph(self, server: Server, request: GetSceneGraph.Request, response: GetSceneGraph.Response) -> None:
        wanted = GraphRequest(
            **_common(request),
            predicates=tuple(request.predicates),
            threshold=request.threshold,
            max_pairs=request.max_pairs,
        )
        response.graph = graph_message(self._grapher.graph(wanted))


def query_of(question: Question) -> Query:
    """The query of a service's or an action's caller."""
    return Query(
        **_common(question),
        max_tokens=question.max_tokens,
        question=question.text,
        ago=question.ago,
        keyframes=question.keyframes,
        dialogue=question.dialogue,
        choices=tuple(question.choices),
        ad_hoc=tuple(partial(_ad_hoc, index, region) for index, region in enumerate(question.regions)),
    )


def _common(request: Question | DescribeRegions.Request | GetSceneGraph.Request) -> dict[str, Any]:
    """The fields of serving.Request that all three have."""
    return {
        "region_ids": tuple(request.region_ids),
        "stamp_ns": stamp_ns(request.stamp),
        "max_age": request.max_age,
        "timeout": request.timeout,
    }


def _ad_hoc(index: int, message: RegionMessage, frame: Frame) -> Region:
    """The region that a caller added to the question; one without id is named after its index among them."""
    message.id = message.id or f"request:{index}"
    return region_of(message, frame.size, frame.stamp_ns)


def _fail(response: Any, code: ErrorCode, message: str) -> None:
    response.error_code = int(code)
    response.error_msg = message
