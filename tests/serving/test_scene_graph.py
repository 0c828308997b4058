# SPDX-License-Identifier: Apache-2.0
"""Which pairs a scene graph asks about, and what it makes of the probabilities. The engine is a fake."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from gar_ros.engine.encoded_frame import Answer
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, Sighting
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.scene_graph import Relation
from gar_ros.region import Region
from gar_ros.serving.frame_choice import FrameChoice
from gar_ros.serving.scene_graph import Grapher, GraphRequest
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings

S = 1_000_000_000
SETTINGS = Settings.of({"graph.predicates": ("left of", "on"), "graph.threshold": 0.5, "graph.max_pairs": 1000})


class RowOfRegions:
    """Regions side by side in an 8 x 2 image, in the order of their ids; "empty" has no pixel."""

    def __init__(self, ids: str) -> None:
        self._ids = ids

    def ids(self) -> tuple[str, ...]:
        return tuple(self._ids)

    def region(self, region_id: str) -> Region:
        mask = np.zeros((2, 8), bool)
        mask[:, self._ids.index(region_id)] = region_id != "e"
        return Region.from_mask(region_id, mask)

    def sightings(self, boxes: bool) -> list[Sighting]:
        return [Sighting(name) for name in self.ids()]


class Oracle:
    """As GarEngine: knows that a region is left of another by its box; every answer takes `seconds`."""

    manifest = SimpleNamespace(tiles=SimpleNamespace(max_tiles=1))
    prompts = SimpleNamespace(max_regions=3)

    def __init__(self) -> None:
        self.encodings: list[tuple[str, ...]] = []
        self.asked: list[tuple[str, str, str]] = []
        self.seconds = 0.0

    def parse(self, question: str, choices: Sequence[str], regions: int) -> str:
        assert list(choices) == ["yes", "no"]
        return question

    def encode(
        self, image: Any, regions: Sequence[Region], max_tiles: int, raise_if_cancelled: Callable[[], None]
    ) -> Any:
        self.encodings.append(tuple(region.id for region in regions))

        def ask(question: str, raise_if_cancelled: Callable[[], None]) -> Answer:
            found = re.fullmatch(r"Is <Prompt(\d)> (.+) <Prompt(\d)>\?", question)
            assert found is not None
            subject, predicate, object_ = found.groups()
            first, second = regions[int(subject)], regions[int(object_)]
            self.asked.append((first.id, predicate, second.id))
            time.sleep(self.seconds)
            p = 0.9 if predicate == "left of" and first.box < second.box else 0.1
            return Answer("", (), 0, (p, 1 - p), p, True, 0, 0, {})

        return SimpleNamespace(ask=ask)


class Bench:
    def __init__(self) -> None:
        self.engine = Oracle()
        self.frames = FrameMemory(4)
        self.worker = Worker(4, lambda error: None)
        self.worker.accept()
        engine = cast(GarEngine, self.engine)
        choice = FrameChoice(self.frames, None, lambda: SETTINGS, lambda: 9 * S)
        self.grapher = Grapher(engine, choice, EncodedMemory(engine, 2), self.worker, lambda: SETTINGS)

    def show(self, ids: str) -> None:
        self.frames.add(Frame(9 * S, "camera", (8, 2), lambda: np.zeros((2, 8, 3), np.uint8), RowOfRegions(ids)))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.worker.close(GarError(ErrorCode.CANCELLED, "the test is over"))


def refusal(call: Callable[[], object]) -> tuple[ErrorCode, str]:
    with pytest.raises(GarError) as caught:
        call()
    return caught.value.code, caught.value.message


def test_all_pairs_are_asked_once_and_what_holds_is_returned_in_order(bench: Bench) -> None:
    bench.show("bca")
    graph = bench.grapher.graph(GraphRequest())
    assert graph.relations == (
        Relation("b", "left of", "a", 0.9),
        Relation("b", "left of", "c", 0.9),
        Relation("c", "left of", "a", 0.9),
    )
    assert (graph.asked, graph.skipped) == (12, 0) == (len(set(bench.engine.asked)), 0)
    assert (graph.region_ids, graph.predicates, graph.stamp_ns) == (("b", "c", "a"), ("left of", "on"), 9 * S)
    assert len(bench.engine.encodings) == 1, "one prefix for three regions"


def test_more_regions_than_prompts_share_several_prefixes(bench: Bench) -> None:
    bench.show("abcdf")
    graph = bench.grapher.graph(GraphRequest(predicates=("left of",)))
    assert sorted(bench.engine.asked) == sorted(set(bench.engine.asked))
    assert (graph.asked, len(graph.relations)) == (20, 10)
    assert all(len(ids) <= 3 for ids in bench.engine.encodings)


def test_regions_predicates_threshold_and_pairs_of_the_request_count(bench: Bench) -> None:
    bench.show("abcd")
    request = GraphRequest(region_ids=("a", "b", "d"), predicates=(" on ",), threshold=0.05, max_pairs=2)
    graph = bench.grapher.graph(request)
    assert graph.relations == (Relation("a", "on", "b", 0.1), Relation("b", "on", "a", 0.1))
    assert (graph.asked, graph.skipped) == (2, 4)


def test_a_graph_that_takes_too_long_is_partial(bench: Bench) -> None:
    bench.show("abcd")
    bench.engine.seconds = 0.06
    graph = bench.grapher.graph(GraphRequest(timeout=0.3))
    assert 0 < graph.asked < 24
    assert graph.asked + graph.skipped == 24


def test_a_graph_nobody_asked_for_gives_way(bench: Bench) -> None:
    bench.show("abcd")
    graph = bench.grapher.graph(GraphRequest(), should_stop=lambda: len(bench.engine.asked) == 5)
    assert graph.asked == 5


def test_one_region_has_no_relations(bench: Bench) -> None:
    bench.show("ae")
    graph = bench.grapher.graph(GraphRequest())
    assert (graph.region_ids, graph.relations, graph.asked, graph.skipped) == (("a",), (), 0, 0)


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (GraphRequest(region_ids=("a", "x")), ErrorCode.UNKNOWN_REGION, "no region 'x'"),
        (GraphRequest(region_ids=("a", "a")), ErrorCode.INVALID_REQUEST, "region ids must differ"),
        (GraphRequest(region_ids=("a", "e")), ErrorCode.EMPTY_MASK, "'e'"),
        (GraphRequest(predicates=("on", " ")), ErrorCode.INVALID_REQUEST, "different predicates"),
        (GraphRequest(predicates=("on", "on")), ErrorCode.INVALID_REQUEST, "different predicates"),
        (GraphRequest(predicates=("on", "near <Prompt2> or")), ErrorCode.INVALID_REQUEST, "that name no region"),
        (GraphRequest(predicates=("x" * 5000,)), ErrorCode.QUESTION_TOO_LONG, "4096 characters"),
        (GraphRequest(threshold=1.5), ErrorCode.INVALID_REQUEST, "threshold"),
        (GraphRequest(max_pairs=10**6), ErrorCode.INVALID_REQUEST, "max_pairs"),
    ],
)
def test_what_can_not_be_asked_is_refused(bench: Bench, request_: GraphRequest, code: ErrorCode, message: str) -> None:
    bench.show("abe")
    refused, why = refusal(lambda: bench.grapher.graph(request_))
    assert refused is code
    assert message in why
