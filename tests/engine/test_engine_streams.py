# SPDX-License-Identifier: Apache-2.0
"""Text that comes while it is generated, and requests that are cancelled meanwhile."""

from __future__ import annotations

import numpy as np

from gar_ros.engine.encoded_frame import EncodedFrame
from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region
from tests.engine.scene import COLOUR, HEIGHT, WIDTH, refused, without_times


def test_text_streams_a_piece_a_token_and_the_pieces_are_the_answers_text(
    frame: EncodedFrame, engine: GarEngine
) -> None:
    question = engine.prompts.parse(COLOUR, (), 2)
    pieces = list(frame.stream(question, max_tokens=12))
    answer = frame.ask(question, max_tokens=12)
    assert len(pieces) == answer.generated_tokens
    assert answer.text.rstrip("\N{REPLACEMENT CHARACTER}") == "".join(pieces).rstrip("\N{REPLACEMENT CHARACTER}")
    assert answer.text == engine.prompts.decode(answer.token_ids)


def test_a_closed_question_streams_nothing(frame: EncodedFrame, engine: GarEngine) -> None:
    assert list(frame.stream(engine.prompts.parse(COLOUR, ["red", "blue"], 2))) == []


def test_a_check_stops_between_tokens_and_the_frame_stays_usable(frame: EncodedFrame) -> None:
    before = frame.ask(COLOUR, max_tokens=6)
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise GarError(ErrorCode.CANCELLED, "enough")

    with refused(ErrorCode.CANCELLED, "enough"):
        frame.ask(COLOUR, max_tokens=6, raise_if_cancelled=stop)
    assert calls == 4  # one before the question is read, then one before each token
    assert without_times(frame.ask(COLOUR, max_tokens=6)) == without_times(before)


def test_a_check_stops_encoding(engine: GarEngine, regions: list[Region]) -> None:
    def stop() -> None:
        raise GarError(ErrorCode.TIMED_OUT, "late")

    noise = np.random.default_rng(9).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    before = engine.encoder.encoded_tiles
    with refused(ErrorCode.TIMED_OUT, "late"):
        engine.encode(noise, regions, raise_if_cancelled=stop)
    assert engine.encoder.encoded_tiles == before
