# SPDX-License-Identifier: Apache-2.0
"""From picture to answer through the TensorRT runner on the stand-in, against ONNX Runtime on the CPU."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.following import OfLogits
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.runtime.tensorrt.device import DeviceArray
from gar_ros.engine.runtime.tensorrt.staging import BUFFERS, PIECE
from gar_ros.engine.steps import run_to_end
from gar_ros.region import Region
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt

UP, DOWN, ACROSS = "cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost", "cudaMemcpyDeviceToDevice"
QUESTION, CHOICES = "Is <Prompt0> left of <Prompt1>?", ["yes", "no"]
WIDTH, HEIGHT = 576, 288  # two tiles and a thumbnail


@pytest.fixture(scope="module")
def reference(four_tiles_model_dir: Path) -> GarEngine:
    return GarEngine(ModelDir.open(four_tiles_model_dir), OrtRuntime("cpu", threads=1))


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


@pytest.fixture(scope="module")
def regions() -> list[Region]:
    boxes = {"a": (10, 20, 120, 150), "b": (200, 60, 330, 180)}
    return [Region.from_box(name, box, (WIDTH, HEIGHT)) for name, box in boxes.items()]


def test_answers_are_those_of_onnx_runtime(
    engine: GarEngine, reference: GarEngine, image: np.ndarray, regions: list[Region]
) -> None:
    frame, expected = engine.encode(image, regions), reference.encode(image, regions)
    assert engine.provider == "tensorrt"
    np.testing.assert_allclose(on_host(frame._features), on_host(expected._features), atol=1e-5)
    np.testing.assert_allclose(on_host(frame._replay), on_host(expected._replay), atol=1e-5)
    text, expected_text = frame.ask(QUESTION, max_tokens=6), expected.ask(QUESTION, max_tokens=6)
    assert text.token_ids == expected_text.token_ids
    closed, expected_closed = frame.ask(QUESTION, CHOICES), expected.ask(QUESTION, CHOICES)
    np.testing.assert_allclose(closed.probabilities, expected_closed.probabilities, rtol=1e-3)
    one, expected_one = engine.encode(image, regions[:1]), reference.encode(image, regions[:1])
    assert one.describe(max_tokens=4).token_ids == expected_one.describe(max_tokens=4).token_ids
    frames = [(image, regions[0]), (image[:, ::-1].copy(), regions[1])]
    video, expected_video = engine.encode_video(frames), reference.encode_video(frames)
    assert video.ask("What does <Prompt0> do?", max_tokens=4).token_ids == (
        expected_video.ask("What does <Prompt0> do?", max_tokens=4).token_ids
    )


def test_nothing_but_pinned_memory_is_copied(
    engine: GarEngine, cuda: StandInCuda, image: np.ndarray, regions: list[Region]
) -> None:
    engine.encode(image, regions).ask(QUESTION, CHOICES)
    assert cuda.calls["pageable"] == 0
    assert sum(piece.nbytes for piece in cuda.pinned.values()) <= BUFFERS * PIECE


def test_nothing_but_logits_comes_back_to_the_host(
    engine: GarEngine, cuda: StandInCuda, image: np.ndarray, regions: list[Region]
) -> None:
    cuda.copies.clear()
    frame = engine.encode(image, regions)
    assert isinstance(frame._features, DeviceArray)
    assert isinstance(frame._replay, DeviceArray)
    assert cuda.copies[DOWN] == 0
    assert cuda.copies[UP] == 4  # pixels, masks, wy, wx
    cuda.calls.clear()
    cuda.copied.clear()
    frame.ask(QUESTION, max_tokens=5)
    runs = cuda.calls["execute"]
    vocabulary = engine.manifest.sizes.vocab
    assert (cuda.copies[DOWN], cuda.copied[DOWN]) == (runs, runs * vocabulary * 4)
    features = (3 + 2) * engine.manifest.sizes.tile_tokens * engine.manifest.sizes.hidden * 4
    assert cuda.copied[ACROSS] == features  # into the prompt's embeddings, once
    frame.ask(QUESTION, max_tokens=5)
    assert cuda.copied[ACROSS] == features


def test_cached_tiles_stay_on_the_gpu(
    engine: GarEngine, cuda: StandInCuda, image: np.ndarray, regions: list[Region]
) -> None:
    first = engine.encode(image, regions)
    cuda.copies.clear()
    again = engine.encode(image, regions)
    assert (cuda.copies[UP], cuda.copies[DOWN]) == (2, 0)  # wy and wx
    np.testing.assert_array_equal(on_host(again._features), on_host(first._features))


def test_a_token_goes_up_alone(engine: GarEngine, cuda: StandInCuda) -> None:
    """Its embedding; not its position, of which the GPU has a list, and not a byte of the KV cache."""
    decoder = engine.decoder
    cache, _ = decoder.prefill(decoder.empty, decoder.embed([1, 2, 3]), lambda: None)
    cuda.copied.clear()
    decoder.prefill(cache, decoder.embed([4]), lambda: None)
    assert dict(cuda.copied) == {UP: engine.manifest.sizes.hidden * 4, DOWN: engine.manifest.sizes.vocab * 4}


def test_prompt_and_tokens_use_their_profiles(engine: GarEngine, trt: StandInTensorRt) -> None:
    decoder = engine.decoder
    cache, following = decoder.prefill(decoder.empty, decoder.embed([1, 2, 3]), lambda: None)
    trt.switches.clear()
    five = np.where(np.arange(len(decoder.vocabulary)) == 5, 9, 0).astype(np.float32)
    run_to_end(decoder.generate(cache, OfLogits(five, decoder.embed), 4, lambda: None))
    decoder.log_likelihoods(cache, following, [[4, 5, 6], [7, 8]], lambda: None)
    assert trt.switches == [1]


def test_a_frame_that_is_dropped_gives_its_memory_back(
    engine: GarEngine, cuda: StandInCuda, image: np.ndarray, regions: list[Region]
) -> None:
    engine.encode(image, regions).ask(QUESTION, max_tokens=3)
    engine.encoder._cache.clear()
    gc.collect()
    scratch = cuda.used
    engine.encode(image, regions).ask(QUESTION, max_tokens=3)
    gc.collect()
    tiles = 3 * engine.manifest.sizes.tile_tokens * engine.manifest.sizes.hidden * 4
    assert cuda.used == scratch + tiles  # the tile cache
