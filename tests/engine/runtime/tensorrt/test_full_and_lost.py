# SPDX-License-Identifier: Apache-2.0
"""What happens on the stand-in when the GPU's memory is full, when it fails for good, and when it is given back."""

from __future__ import annotations

import gc
import logging
from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.runtime.tensorrt.device import Device, DeviceArray
from gar_ros.engine.runtime.tensorrt.run_log import make_run_log
from gar_ros.errors import ErrorCode, GarError, GpuLostError, OutOfMemoryError
from gar_ros.region import Region
from tests.engine.runtime.tensorrt.conftest import open_engine
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt

KIB = np.arange(256, dtype=np.float32)
IMAGE = np.random.default_rng(1).integers(0, 256, (288, 576, 3), np.uint8)
REGION = Region.from_box("a", (10, 10, 100, 100), (576, 288))


class Cache:
    """Arrays that can be missed."""

    def __init__(self, *arrays: DeviceArray) -> None:
        self.arrays = list(arrays)

    def forget(self) -> None:
        self.arrays.clear()


@pytest.fixture
def small(cuda_driver: None) -> StandInCuda:
    """A GPU of 4 KiB."""
    return StandInCuda(limit=4096)


def test_where_memory_is_full_caches_forget_and_the_second_try_serves(small: StandInCuda) -> None:
    device = Device(small)
    cache = Cache(*(device.upload(KIB) for _ in range(3)))
    device.make_room.ask(cache.forget)
    array = device.empty((3, 256), np.float32)
    assert (cache.arrays, array.nbytes, small.reserved) == ([], 3072, 3072)


def test_what_is_too_large_for_the_empty_gpu_is_a_typed_error_and_the_next_is_served(small: StandInCuda) -> None:
    device = Device(small)
    cache = Cache(device.upload(KIB))
    device.make_room.ask(cache.forget)
    with pytest.raises(OutOfMemoryError, match="out of memory; use fewer tiles") as caught:
        device.empty((5, 256), np.float32)
    assert (caught.value.code, cache.arrays) == (ErrorCode.INTERNAL_ERROR, [])
    np.testing.assert_array_equal(device.upload(KIB).numpy(), KIB)


def test_nobody_has_to_forget_anything(small: StandInCuda) -> None:
    """The cache is gone, or nobody was named: what is kept is used by somebody."""
    device = Device(small)
    device.make_room.ask(Cache().forget)
    kept = device.upload(KIB)
    with pytest.raises(OutOfMemoryError):
        device.empty((4, 256), np.float32)
    np.testing.assert_array_equal(kept.numpy(), KIB)


@pytest.mark.parametrize("error", [StandInCuda.cudaError_t.cudaErrorIllegalAddress, 719], ids=int)
def test_a_lost_gpu_is_told_by_whatever_is_asked_of_it_next(cuda: StandInCuda, error: int) -> None:
    device = Device(cuda)
    array = device.upload(KIB)
    cuda.sticky = cuda.cudaError_t(error)
    for ask in (array.numpy, lambda: device.upload(KIB), device.raise_if_failed):
        with pytest.raises(GpuLostError, match="this process can't use the GPU any more") as caught:
            ask()
        assert caught.value.code == ErrorCode.INTERNAL_ERROR
    del array
    gc.collect()
    device.close()


def test_a_graph_that_does_not_run_since_the_gpu_is_lost_says_so(engine: GarEngine, cuda: StandInCuda) -> None:
    encoded = engine.encode(IMAGE, [REGION])
    cuda.sticky = cuda.cudaError_t.cudaErrorLaunchFailure
    with pytest.raises(GpuLostError, match="cudaErrorLaunchFailure"):
        encoded.ask("What is <Prompt0>?", max_tokens=2)


def test_a_graph_that_does_not_run_for_another_reason_is_told_in_tensorrts_words(
    engine: GarEngine, trt: StandInTensorRt
) -> None:
    trt.refusal = "Error Code 1: Myelin (no kernel)"
    with pytest.raises(GarError, match=r"vision\.onnx did not run: Error Code 1: Myelin \(no kernel\)") as caught:
        engine.encode(IMAGE, [REGION])
    assert type(caught.value) is GarError
    trt.refusal = "Error Code 1: Cuda Runtime (out of memory)"
    with pytest.raises(OutOfMemoryError):
        engine.encode(IMAGE, [REGION])
    trt.refusal = ""
    engine.encode(IMAGE, [REGION])


def test_closing_gives_all_memory_back(engine: GarEngine, trt: StandInTensorRt, cuda: StandInCuda) -> None:
    frame = engine.encode(IMAGE, [REGION])
    frame.ask("What is <Prompt0>?", max_tokens=2)
    assert cuda.reserved > 0
    del frame
    engine.encoder.forget_most()
    engine.close()
    assert (len(trt.engines), cuda.streams) == (0, 0)
    engine.encoder._cache.clear()
    gc.collect()
    assert (cuda.used, cuda.reserved) == (0, 0)


def test_closing_twice_is_closing_once(cuda: StandInCuda) -> None:
    device = Device(cuda)
    device.close()
    device.close()
    assert cuda.streams == 0


def test_a_provider_that_is_not_taken_leaves_nothing_behind(
    trt: StandInTensorRt, cuda: StandInCuda, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, four_tiles_model_dir: Path
) -> None:
    open_engine(monkeypatch, trt, four_tiles_model_dir, tmp_path).close()
    monkeypatch.setattr(cuda, "cudaMemcpyAsync", lambda *_: (cuda.cudaError_t.cudaErrorIllegalAddress,))
    with pytest.raises(GarError, match="tensorrt is not available: CUDA: cudaMemcpyAsync failed"):
        open_engine(monkeypatch, trt, four_tiles_model_dir, tmp_path)
    gc.collect()
    assert (len(trt.engines), cuda.streams, cuda.used, cuda.reserved) == (0, 0, 0, 0)


def test_what_tensorrt_says_at_run_time_goes_to_the_log_and_a_warning_once(
    trt: StandInTensorRt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gar_ros")
    log, levels = make_run_log(trt), trt.ILogger
    log.log(levels.INFO, "Loaded engine size: 3 MiB")
    for milliseconds in (1, 2):
        log.log(levels.WARNING, f"the default stream costs {milliseconds} ms")
    log.log(levels.VERBOSE, "never told")
    log.log(levels.ERROR, "first")
    log.log(levels.INTERNAL_ERROR, "in two\nlines")
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("DEBUG", "TensorRT: Loaded engine size: 3 MiB"),
        ("WARNING", "TensorRT: the default stream costs 1 ms"),
        ("DEBUG", "TensorRT: the default stream costs 2 ms"),
        ("ERROR", "TensorRT: first"),
        ("ERROR", "TensorRT: in two lines"),
    ]
    assert (log.take_error(), log.take_error()) == ("in two lines", "")
