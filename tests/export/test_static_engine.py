# SPDX-License-Identifier: Apache-2.0
"""All that a caller of the engine may rely on, once more on a decoder with a static KV cache; and whose buffers they
are when several frames and answers share a prefix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine.cost import kv_bytes_per_token
from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.protocol import nbytes_of
from gar_ros.engine.steps import Steps, run_to_end
from gar_ros.errors import GarError
from gar_ros.region import Region
from tests.engine.conftest import *  # noqa: F403, fixtures
from tests.engine.scene import COLOUR
from tests.engine.test_engine import *  # noqa: F403, their tests run here with the engine below
from tests.engine.test_engine_refusals import *  # noqa: F403
from tests.engine.test_engine_streams import *  # noqa: F403
from tests.export.static_folder import needs_opset_24, static_folder

pytestmark = needs_opset_24


@pytest.fixture(scope="module")
def folder(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model_dir` with a static KV cache."""
    folder = tmp_path_factory.mktemp("static") / "model"
    return static_folder(model_dir, default_model_dir() / "checkpoint", folder, 4096)


@pytest.fixture(scope="module")
def engine(folder: Path) -> GarEngine:
    """Of `folder`."""
    return GarEngine.open(folder, "cpu", threads=1)


@pytest.fixture(scope="module")
def joined(model_dir: Path) -> GarEngine:
    """Of `model_dir` as it is."""
    return GarEngine.open(model_dir, "cpu", threads=1)


def test_the_first_frame_of_an_image_writes_into_the_images_buffer_and_the_next_into_a_copy(
    engine: GarEngine, joined: GarEngine, image: np.ndarray, regions: list[Region]
) -> None:
    encoded = engine.encode_image(image, regions, max_tiles=1)
    frames = [
        engine.from_features(encoded.features, regions[one : one + 1], [encoded.replay[one : one + 1]], encoded.shared)
        for one in (0, 1)
    ]
    found = [frame.describe(max_tokens=8).token_ids for frame in (*frames, *frames)]
    expected = [joined.encode(image, [region], max_tiles=1).describe(max_tokens=8).token_ids for region in regions]
    assert [len(ids) for ids in expected] == [8, 8]
    assert found[:2] == found[2:]
    buffer = 4096 * kv_bytes_per_token(engine.manifest)
    assert encoded.shared.nbytes == buffer
    own = [frame.nbytes - frame.image_nbytes - nbytes_of(encoded.replay[:1]) for frame in frames]
    assert own == [0, buffer]


def test_answers_are_those_of_the_joined_cache(
    engine: GarEngine, joined: GarEngine, image: np.ndarray, regions: list[Region]
) -> None:
    for asked in (engine, joined):
        frame = asked.encode(image, regions, max_tiles=2)
        text = frame.ask(COLOUR, max_tokens=24)
        closed = frame.ask(COLOUR, ["red", "dark red", "green", "dark green"])
        if asked is engine:
            expected = text.token_ids, closed.probabilities
    assert text.token_ids == expected[0]
    np.testing.assert_allclose(closed.probabilities, expected[1], atol=1e-5)


def test_answers_that_are_generated_at_a_time_do_not_disturb_each_other(engine: GarEngine, frame: EncodedFrame) -> None:
    questions = [engine.prompts.parse(text, (), 2) for text in (COLOUR, "Where is <Prompt1>?")]
    alone = [run_to_end(frame.stream(question, 12)).answer.token_ids for question in questions]
    streams = [Steps(frame.stream(question, 12)) for question in questions]
    for _ in zip(*streams, strict=True):
        frame.ask(COLOUR, ["red", "blue"])
    assert [stream.result.answer.token_ids for stream in streams] == alone


def test_a_conversation_outlives_other_questions(engine: GarEngine, frame: EncodedFrame) -> None:
    begin, turn = engine.prompts.parse(COLOUR, (), 2), engine.prompts.parse_turn("Why?", (), 2)
    begun = run_to_end(frame.stream(begin, 6))
    at_once = run_to_end(frame.stream(turn, 6, after=begun)).answer.token_ids
    frame.ask("Where is <Prompt1>?", max_tokens=20)
    frame.ask(COLOUR, ["red", "blue"])
    assert run_to_end(frame.without_image().stream(turn, 6, after=begun)).answer.token_ids == at_once


def test_openvino_does_not_write_in_place_and_is_refused(folder: Path) -> None:
    with pytest.raises(GarError, match="openvino is not available: the decoder's KV cache is static"):
        GarEngine.open(folder, "openvino")
    assert GarEngine.open(folder, "openvino", threads=1, allow_fallback=True).provider == "cpu"


def test_a_stream_that_is_left_gives_its_buffer_back(engine: GarEngine, image: np.ndarray) -> None:
    region = Region.from_box("a", (5, 5, 20, 20), (image.shape[1], image.shape[0]))
    frame = engine.encode(image, [region], max_tiles=1)
    question = engine.prompts.parse(COLOUR, (), 1)
    whole = run_to_end(frame.stream(question, 8)).answer.token_ids
    left = frame.stream(question, 8)
    next(left)
    left.close()
    size = frame.nbytes
    assert run_to_end(frame.stream(question, 8)).answer.token_ids == whole
    assert frame.nbytes == size
