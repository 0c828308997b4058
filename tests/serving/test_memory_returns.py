# SPDX-License-Identifier: Apache-2.0
"""What the model takes is given back as soon as nobody uses it, without waiting for Python's collector."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.errors import ErrorCode, GarError
from gar_ros.frame import Frame
from gar_ros.memory.budget import MemoryBudget
from gar_ros.memory.depth import DepthMemory
from gar_ros.memory.dialogues import NEW
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.frames import FrameMemory
from gar_ros.memory.keyframes import Bounds, KeyframeMemory
from gar_ros.region import Region
from gar_ros.serving.frame_choice import FrameChoice
from gar_ros.serving.requests import Query
from gar_ros.serving.server import Server
from gar_ros.serving.worker import Worker
from gar_ros.settings import Settings

S = 1_000_000_000
SETTINGS = Settings()


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Serving:
    """A server with a real model and one image of 40 x 40 pixels."""

    def __init__(self, model: Path, limit: int) -> None:
        engine = GarEngine.open(model, "cpu", threads=1)
        frames = FrameMemory(2)
        frames.add(Frame(S, "camera", (40, 40), lambda: np.zeros((40, 40, 3), np.uint8)))
        self.budget, self.worker = MemoryBudget(limit), Worker(8, lambda error: None)
        self.worker.accept()
        keyframes = KeyframeMemory(engine, Bounds(4, 1 << 20, 10 * S))
        encoded = EncodedMemory(engine, 8, keyframes, self.budget)
        choice = FrameChoice(frames, None, lambda: SETTINGS, lambda: S)
        self.server = Server(engine, choice, encoded, DepthMemory(2, slop_ns=0), self.worker, lambda: SETTINGS)
        self.engine = weakref.ref(engine)

    def ask(self, side: int, dialogue: str = NEW) -> str:
        """About a square at the image's corner; returns the dialogue's id."""
        region = (lambda frame: Region.from_box("a", (0, 0, side, side), frame.size),)
        regions = region if dialogue == NEW else ()
        query = Query(question="What?", ad_hoc=regions, dialogue=dialogue, max_tokens=2)
        return self.server.query(query).dialogue

    def close(self) -> None:
        self.worker.close(GarError(ErrorCode.CANCELLED, "the test is over"))


def test_the_model_goes_with_its_server(no_collector: None, model_dir: Path) -> None:
    serving = Serving(model_dir, 1 << 30)
    serving.ask(5, serving.ask(5))
    engine = serving.engine
    assert engine() is not None
    serving.close()
    del serving
    assert engine() is None


def test_dialogues_and_encoded_images_share_one_limit(model_dir: Path) -> None:
    """A dialogue holds its KV cache and no image; the newest one answers whatever the limit is."""
    serving = Serving(model_dir, 1 << 30)
    try:
        names = [serving.ask(side) for side in (5, 6, 7)]
        everything = serving.budget.used
        serving.budget.limit = everything // 2
        newest = serving.ask(8)
        assert everything // 4 < serving.budget.used <= everything // 2
        serving.budget.limit = 1
        assert serving.ask(8, newest) == newest
        with pytest.raises(GarError, match=r"dropped because the memory for conversations is full") as caught:
            serving.ask(5, names[0])
        assert caught.value.code is ErrorCode.UNKNOWN_DIALOGUE
    finally:
        serving.close()
