# SPDX-License-Identifier: Apache-2.0
"""Decoders that end with the likeliest token through the TensorRT runner on the stand-in, which has no GPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gar_export.exporter import export_checkpoint
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import KvForm
from gar_ros.region import Region
from tests.engine.runtime.tensorrt.conftest import (
    cuda,  # noqa: F401, a fixture
    cuda_driver,  # noqa: F401, a fixture
    open_engine,
    trt,  # noqa: F401, a fixture
)
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt
from tests.export.static_folder import needs_opset_24

UP, DOWN = "cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"
QUESTION, CHOICES = "Is <Prompt0> left of <Prompt1>?", ["yes", "no", "yes, it is"]


@pytest.fixture(scope="module", params=["joined", pytest.param("static", marks=needs_opset_24)])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gar-tiny in float16."""
    form: KvForm = request.param
    out = tmp_path_factory.mktemp("tail") / "model"
    export_checkpoint(default_model_dir() / "checkpoint", out, precision="fp16", kv_cache=form, max_positions=2048)
    return out


@pytest.fixture
def engine(
    folder: Path,
    trt: StandInTensorRt,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> GarEngine:
    return open_engine(monkeypatch, trt, folder, tmp_path / "engines")


def ask(
    engine: GarEngine, max_tokens: int = 12, choices: list[str] | None = None
) -> tuple[tuple[int, ...], list[float]]:
    """Tokens and probabilities of an answer; no token ends it."""
    image = np.random.default_rng(5).integers(0, 256, (288, 288, 3), np.uint8)
    boxes = {"a": (10, 20, 120, 150), "b": (160, 100, 280, 200)}
    engine.decoder._end = []
    frame = engine.encode(image, [Region.from_box(name, box, (288, 288)) for name, box in boxes.items()], max_tiles=1)
    answer = frame.ask(QUESTION, choices or [], max_tokens=max_tokens)
    return answer.token_ids, list(answer.probabilities or [answer.confidence])


def test_answers_are_those_of_the_cpu(engine: GarEngine, folder: Path) -> None:
    on_cpu = GarEngine.open(folder, "cpu", threads=1)
    assert ModelDir.open(folder).manifest.tail == "tokens"
    for choices in (None, CHOICES[:2]):
        found, expected = ask(engine, choices=choices), ask(on_cpu, choices=choices)
        assert found[0] == expected[0]
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-3)


def test_a_token_costs_twelve_bytes_over_the_bus(engine: GarEngine, cuda: StandInCuda) -> None:  # noqa: F811
    """Its id and its log probability come back; nothing goes up, since the GPU has its embedding and its position."""
    ask(engine, 40)  # the list of positions goes up
    counted = []
    for tokens in (10, 30):
        cuda.copied.clear()
        assert len(ask(engine, tokens)[0]) == tokens
        counted.append((cuda.copied[UP], cuda.copied[DOWN]))
    assert counted[0][0] == counted[1][0]
    assert (counted[0][1], counted[1][1]) == (10 * 12, 30 * 12)


def test_a_choice_costs_its_own_logits(engine: GarEngine, cuda: StandInCuda) -> None:  # noqa: F811
    """Of "yes" and "no": two logits and the sum of all; no vocabulary comes back."""
    ask(engine, choices=CHOICES[:2])
    cuda.copied.clear()
    ask(engine, choices=CHOICES[:2])
    assert cuda.copied[DOWN] == 4 * (2 + 1)


def test_the_gpu_is_asked_for_the_next_token_before_one_is_looked_at(
    engine: GarEngine,
    cuda: StandInCuda,  # noqa: F811
) -> None:
    decoder = engine.decoder
    decoder._end = []
    cache, following = decoder.prefill(decoder.empty, decoder.embed([1, 2, 3]), lambda: None)
    tokens = decoder.generate(cache, following, 20, lambda: None)
    runs = cuda.calls["execute"]
    next(tokens)
    assert cuda.calls["execute"] == runs + 1
    assert cuda._done < len(cuda._stream)
