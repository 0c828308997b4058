# SPDX-License-Identifier: Apache-2.0
"""Which image and regions a request gets, its limits and its errors. The engine is a fake: it is not what is tested."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from gar_ros.engine.encoded_frame import Answer, Conversation
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.kv_cache import KvCache
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.prompt import PromptBuilder, Question
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame, Sighting
from gar_ros.geometry.surface import CloudSurface
from gar_ros.memory.answers import AnswerRecord
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.tracks import TrackMemory
from gar_ros.region import Region
from gar_ros.serving.frame_choice import FrameChoice
from gar_ros.serving.requests import Query, Request
from gar_ros.serving.server import Server
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings

S = 1_000_000_000
NOW = 1000 * S


@cache
def shipped_prompts() -> PromptBuilder:
    """The shipped model's: five prompts."""
    model = ModelDir.open(default_model_dir())
    return PromptBuilder(model.manifest.tokens, model.manifest.prompt, 1, model.tokenizer())


class FakeEngine:
    """As GarEngine; answers name what they were asked about. `hold` blocks it, `started` tells that it works."""

    parse = GarEngine.parse
    manifest = SimpleNamespace(tiles=SimpleNamespace(max_tiles=16))

    def __init__(self) -> None:
        self.prompts = shipped_prompts()
        self.encodings: list[tuple[int, tuple[str, ...], int]] = []
        self.started = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def encode(
        self,
        image: NDArray[np.uint8],
        regions: Sequence[Region],
        max_tiles: int,
        raise_if_cancelled: Callable[[], None],
    ) -> FakeEncoded:
        self.started.set()
        while not self.go_on.wait(0.005):
            raise_if_cancelled()
        self.encodings.append((int(image[0, 0, 0]), tuple(region.id for region in regions), max_tiles))
        return FakeEncoded(int(image[0, 0, 0]), tuple(region.id for region in regions))


class FakeEncoded:
    """As EncodedFrame."""

    def __init__(self, number: int, ids: tuple[str, ...]) -> None:
        self.number = number
        self.ids = ids

    def stream(
        self, question: Question, max_tokens: int, raise_if_cancelled: Callable[[], None]
    ) -> Generator[str, None, Conversation]:
        answer = self._answer(max_tokens)
        yield from answer.text
        return Conversation(answer, KvCache(0, {}))

    def ask(self, question: Question, max_tokens: int, raise_if_cancelled: Callable[[], None]) -> Answer:
        if self.ids == ("slow",):
            while True:
                raise_if_cancelled()
        return self._answer(max_tokens)

    def without_image(self) -> FakeEncoded:
        return self

    def _answer(self, max_tokens: int) -> Answer:
        return Answer(f"{self.number} {' '.join(self.ids)}", (), -1, (), 1.0, True, 0, max_tokens, {})


class Detected:
    """Regions of the given ids in a 4x4 image; "empty" has no pixel."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids

    def ids(self) -> tuple[str, ...]:
        return self._ids

    def region(self, region_id: str) -> Region:
        number = self._ids.index(region_id)
        mask = np.zeros((4, 4), bool)
        mask[number // 4, number % 4] = region_id != "empty"
        return Region.from_mask(region_id, mask)

    def sightings(self, boxes: bool) -> list[Sighting]:
        return [Sighting(name) for name in self.ids()]


def frame(number: int, *ids: str, age: float = 0.5) -> Frame:
    """A frame whose pixels are all `number`, with regions if any are named. age: seconds."""
    regions = Detected(*ids) if ids else None
    return Frame(NOW - round(age * S), "camera", (4, 4), lambda: np.full((4, 4, 3), number, np.uint8), regions)


class Bench:
    """A server with its parts within reach."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.frames = FrameMemory(8)
        self.depth = DepthMemory(8, slop_ns=0)
        self.worker = Worker(2, lambda error: None)
        self.worker.accept()
        self.settings = Settings()
        self.tracks: TrackMemory | None = None
        self.now_ns = NOW
        self.serve()

    def serve(self) -> None:
        """Makes the server from the other parts."""
        engine, settings = cast(GarEngine, self.engine), lambda: self.settings
        choice = FrameChoice(self.frames, self.tracks, settings, lambda: self.now_ns)
        self.server = Server(engine, choice, EncodedMemory(engine, 2), self.depth, self.worker, settings)

    def describe(self, request: Request) -> list[AnswerRecord]:
        """The descriptions of all regions."""
        job = self.server.describe(request)
        described = list(job.items())
        job.result()
        return described

    def ask(self, *region_ids: str, **fields: Any) -> str:
        """Text of the answer: the image's number and the ids."""
        return self.server.query(Query(region_ids=region_ids, **{"question": "?", **fields})).answer.text


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.engine.go_on.set()
    bench.worker.close(GarError(ErrorCode.CANCELLED, "the test is over"))


def refusal(call: Callable[[], object]) -> tuple[ErrorCode, str]:
    with pytest.raises(GarError) as caught:
        call()
    return caught.value.code, caught.value.message


def corner(name: str) -> Callable[[Frame], Region]:
    """An ad-hoc region."""
    return lambda frame: Region.from_box(name, (0, 0, 1, 1), frame.size)


def test_ids_come_before_ad_hoc_regions_in_prompt_order(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", "b"))
    assert bench.ask("b", "a", ad_hoc=(corner("x"),)) == "1 b a x"


def test_the_newest_pair_answers_and_not_a_newer_image_without_regions(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=0.9))
    bench.frames.add(frame(2, age=0.1))
    assert bench.ask("a") == "1 a"


def test_ad_hoc_regions_alone_take_the_newest_image_even_without_detections(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=0.9))
    bench.frames.add(frame(2, age=0.1))
    assert bench.ask(ad_hoc=(corner("x"),)) == "2 x"


def test_a_stamp_names_its_image(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=0.9))
    bench.frames.add(frame(2, "a", age=0.1))
    assert bench.ask("a", stamp_ns=NOW - round(0.9 * S)) == "1 a"


def test_the_newest_image_is_chosen_when_work_starts(bench: Bench) -> None:
    bench.frames.add(frame(1, "a"))
    bench.engine.go_on.clear()
    with ThreadPoolExecutor(2) as planners:
        first = planners.submit(bench.ask, "a")
        assert bench.engine.started.wait(10)
        second = planners.submit(bench.ask, "a")
        while not bench.worker._waiting:
            time.sleep(0.005)
        bench.frames.add(frame(2, "a", age=0.1))
        bench.engine.go_on.set()
        assert (first.result(), second.result()) == ("1 a", "2 a")


def test_answers_say_of_which_image_how_old_and_how_long(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=0.5))
    answered = bench.server.query(Query(question="what?", region_ids=("a",), choices=("b", "c")))
    assert answered.question == "what?"
    assert (answered.region_ids, answered.choices) == (("a",), ("b", "c"))
    assert (answered.stamp_ns, answered.frame_id, answered.age_ns) == (NOW - S // 2, "camera", S // 2)
    assert 0 < answered.latency_ns < 10 * S


def test_questions_about_the_same_regions_of_one_image_share_its_encoding(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", "b"))
    bench.ask("a", question="what colour?")
    bench.ask("a", question="what shape?")
    bench.ask("b")
    assert bench.engine.encodings == [(1, ("a",), 16), (1, ("b",), 16)]


def test_limits_of_zero_are_the_nodes_and_follow_its_parameters(bench: Bench) -> None:
    bench.frames.add(frame(1, "a"))
    query = Query(question="?", region_ids=("a",))
    bench.settings = Settings.of({"request.max_tokens": 7, "request.max_tiles": 3})
    assert bench.server.query(query).answer.generated_tokens == 7  # the fake writes what it was allowed
    assert bench.server.query(replace(query, max_tokens=9)).answer.generated_tokens == 9
    bench.settings = Settings.of({"request.max_tokens": 7, "request.max_tiles": 64})  # more than the model takes
    bench.server.query(query)
    assert bench.engine.encodings == [(1, ("a",), 3), (1, ("a",), 16)]


def test_no_image_yet(bench: Bench) -> None:
    assert refusal(lambda: bench.ask("a")) == (ErrorCode.NO_FRAME, "no image with regions has arrived yet")


def test_an_image_without_regions_is_not_enough_for_ids(bench: Bench) -> None:
    bench.frames.add(frame(1))
    assert refusal(lambda: bench.ask("a"))[0] is ErrorCode.NO_FRAME


def test_a_stamp_that_is_not_kept_is_told_those_that_are(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=0.5))
    code, message = refusal(lambda: bench.ask("a", stamp_ns=5))
    assert code is ErrorCode.NO_FRAME
    assert message == (
        "expected the stamp of an image with regions that is kept (newest first: 999.500000000), got 0.000000005"
    )


def test_a_dead_camera_gives_stale_frame_with_the_age(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=2.5))
    code, message = refusal(lambda: bench.ask("a"))
    assert code is ErrorCode.STALE_FRAME
    assert message == "the newest image with regions is 2.50 s old, but max_age is 2 s"
    assert refusal(lambda: bench.server.listing(0))[0] is ErrorCode.STALE_FRAME
    assert refusal(lambda: bench.server.describe(Request()))[0] is ErrorCode.STALE_FRAME
    assert bench.ask("a", max_age=3.0) == "1 a"


def test_an_image_named_by_its_stamp_is_only_stale_if_the_request_says_so(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=50.0))
    stamp = NOW - 50 * S
    assert bench.ask("a", stamp_ns=stamp) == "1 a"
    assert refusal(lambda: bench.ask("a", stamp_ns=stamp, max_age=10.0))[0] is ErrorCode.STALE_FRAME


def test_a_stamp_from_the_future_is_refused_because_a_dead_camera_would_look_fresh(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=-3600.0))
    code, message = refusal(lambda: bench.ask("a"))
    assert code is ErrorCode.STALE_FRAME
    assert "3600.00 s in the future" in message
    assert "use_sim_time" in message


def test_an_unknown_id_is_told_the_known_ones(bench: Bench) -> None:
    bench.frames.add(frame(1, "cup", "box"))
    assert refusal(lambda: bench.ask("mug")) == (
        ErrorCode.UNKNOWN_REGION,
        "no region 'mug' in the image; there are: cup, box",
    )
    assert refusal(lambda: bench.server.describe(Request(("mug",))))[0] is ErrorCode.UNKNOWN_REGION


def test_a_long_list_of_known_ids_is_shortened(bench: Bench) -> None:
    bench.frames.add(frame(1, *(f"r{number}" for number in range(200))))
    message = refusal(lambda: bench.ask("mug"))[1]
    assert message.endswith("r18, r19, ... (200 in all)")


@pytest.mark.parametrize(
    ("fields", "code", "complaint"),
    [
        ({"timeout": -1.0}, ErrorCode.INVALID_REQUEST, "timeout: expected 0 (the default) to 3600, got -1"),
        ({"timeout": math.nan}, ErrorCode.INVALID_REQUEST, "timeout: "),
        ({"timeout": math.inf}, ErrorCode.INVALID_REQUEST, "timeout: "),
        ({"max_age": math.nan}, ErrorCode.INVALID_REQUEST, "max_age: "),
        ({"max_age": -0.1}, ErrorCode.INVALID_REQUEST, "max_age: "),
        ({"max_tokens": 1025}, ErrorCode.INVALID_REQUEST, "max_tokens: expected 0 (the default) to 1024, got 1025"),
        ({"question": "?" * 4097}, ErrorCode.QUESTION_TOO_LONG, "4096 characters"),
        ({"choices": ("a" * 4097, "b")}, ErrorCode.QUESTION_TOO_LONG, "4096 characters"),
        ({"choices": tuple(map(str, range(65)))}, ErrorCode.INVALID_REQUEST, "at most 64 different choices, got 65"),
        ({"choices": ("a", "b", "a")}, ErrorCode.INVALID_REQUEST, "got 3, 2 of them different"),
        ({"ad_hoc": tuple(map(corner, "uvwxyz"))}, ErrorCode.TOO_MANY_REGIONS, "at most 5 regions"),
        ({"ad_hoc": (corner("a"),)}, ErrorCode.INVALID_REQUEST, "region ids must differ"),
    ],
)
def test_what_a_request_may_not_be(bench: Bench, fields: dict[str, Any], code: ErrorCode, complaint: str) -> None:
    bench.frames.add(frame(1, "a"))
    got, message = refusal(lambda: bench.ask("a", **fields))
    assert got is code
    assert complaint in message
    assert bench.engine.encodings == []  # refused before it cost anything


def test_a_question_needs_a_region(bench: Bench) -> None:
    bench.frames.add(frame(1, "a"))
    assert refusal(bench.ask)[0] is ErrorCode.INVALID_REQUEST
    assert refusal(lambda: bench.ask(question="<Prompt0>?"))[0] is ErrorCode.PROMPT_WITHOUT_REGION


def test_an_empty_mask_can_not_be_asked_about_and_is_not_listed(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", "empty", "b"))
    assert refusal(lambda: bench.ask("empty"))[0] is ErrorCode.EMPTY_MASK
    assert [region.id for region, _ in bench.server.listing(0).regions] == ["a", "b"]


def test_a_listing_has_the_age_of_its_image(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", age=0.25))
    listing = bench.server.listing(0)
    assert (listing.frame.stamp_ns, listing.age_ns, [region.id for region, _ in listing.regions]) == (
        NOW - S // 4,
        S // 4,
        ["a"],
    )


def test_describing_all_regions_gives_one_answer_each(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", "empty", "b"))
    done = bench.describe(Request())
    assert [(answered.region_ids, answered.answer.text) for answered in done] == [(("a",), "1 a"), (("b",), "1 b")]


def test_describing_named_regions_keeps_their_order(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", "b"))
    done = bench.describe(Request(("b", "a")))
    assert [answered.region_ids for answered in done] == [("b",), ("a",)]


def test_descriptions_that_are_ready_survive_a_timeout(bench: Bench) -> None:
    bench.frames.add(frame(1, "a", "slow", "b"))
    job = bench.server.describe(Request(timeout=0.2))
    assert [answered.region_ids for answered in job.items()] == [("a",)]
    assert refusal(job.result)[0] is ErrorCode.TIMED_OUT


def test_answers_and_lists_say_where_their_regions_were(bench: Bench) -> None:
    shown = frame(1, "a", "empty", age=0.5)
    bench.frames.add(shown)
    assert not bench.server.query(Query(region_ids=("a",), question="?")).extents[0].known
    grid = np.full((4, 4, 3), (1.0, 2.0, 3.0), np.float32)
    bench.depth.add(CloudSurface(shown.stamp_ns, "lens", lambda: np.kron(grid, np.ones((3, 3, 1), np.float32))))
    (extent,) = bench.server.query(Query(region_ids=("a",), question="?")).extents
    assert (extent.frame_id, extent.centroid) == ("lens", (1.0, 2.0, 3.0))
    ((region, listed),) = bench.server.listing(0).regions
    assert (region.id, listed) == ("a", extent)
    described = bench.describe(Request(region_ids=("a",)))
    assert described[0].extents == (extent,)
