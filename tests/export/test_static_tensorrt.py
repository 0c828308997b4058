# SPDX-License-Identifier: Apache-2.0
"""The decoder with a static KV cache through the TensorRT runner on the stand-in, which has no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.tensorrt.device import DeviceArray
from gar_ros.engine.steps import Steps, run_to_end
from gar_ros.region import Region
from tests.engine.runtime.tensorrt.conftest import (
    cuda,  # noqa: F401, a fixture
    cuda_driver,  # noqa: F401, a fixture
    four_tiles_model_dir,  # noqa: F401, a fixture
    open_engine,
    trt,  # noqa: F401, a fixture
)
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt
from tests.export.static_folder import needs_opset_24, static_folder

pytestmark = needs_opset_24

UP, DOWN, ACROSS = "cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost", "cudaMemcpyDeviceToDevice"
POSITIONS = 2048


@pytest.fixture(scope="module")
def folder(four_tiles_model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    out = tmp_path_factory.mktemp("static") / "model"
    return static_folder(four_tiles_model_dir, default_model_dir() / "checkpoint", out, POSITIONS)


@pytest.fixture
def engine(
    folder: Path,
    trt: StandInTensorRt,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> GarEngine:
    return open_engine(monkeypatch, trt, folder, tmp_path / "engines")


def test_answers_are_those_of_the_cpu(
    engine: GarEngine,
    folder: Path,
    cuda: StandInCuda,  # noqa: F811
) -> None:
    """Also of two texts that are written at a time, the second one into a copy of their prefix. Tokens of one buffer
    are replays."""
    image = np.random.default_rng(5).integers(0, 256, (288, 288, 3), np.uint8)
    region = Region.from_box("a", (10, 20, 120, 150), (288, 288))
    answers = []
    for asked in (engine, GarEngine.open(folder, "cpu", threads=1)):
        frame = asked.encode(image, [region], max_tiles=1)
        question = asked.prompts.parse("What is <Prompt0>?", (), 1)
        streams = [Steps(frame.stream(question, 5)) for _ in range(2)]
        for _ in zip(*streams, strict=True):
            pass
        alone = run_to_end(frame.stream(question, 5)).answer.token_ids
        assert [stream.result.answer.token_ids for stream in streams] == [alone, alone]
        answers.append((alone, frame.ask("What is <Prompt0>?", ["a mug", "a box"]).choice))
    assert engine.provider == "tensorrt"
    assert cuda.calls["launch"] > 0
    assert answers[0] == answers[1]


def test_a_token_writes_where_the_cache_is(engine: GarEngine, cuda: StandInCuda) -> None:  # noqa: F811
    """Up goes its embedding, but not the positions that are read, of which the GPU has a list; memory stays."""
    decoder = engine.decoder
    cache, _ = decoder.prefill(decoder.empty, decoder.embed([1, 2, 3]), lambda: None)
    cuda.copied.clear()
    used = cuda.used
    longer, _ = decoder.prefill(cache, decoder.embed([4]), lambda: None)
    assert longer.values is cache.values
    assert all(isinstance(value, DeviceArray) for value in cache.values.values())
    assert cuda.used == used
    sizes = engine.manifest.sizes
    assert dict(cuda.copied) == {UP: sizes.hidden * 4, DOWN: sizes.vocab * 4}
