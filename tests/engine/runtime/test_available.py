# SPDX-License-Identifier: Apache-2.0
"""A provider is available once it ran a graph; whatever its libraries raise before is a reason, not an end.

The bindings here are stand-ins: they answer as the named versions of cuda-python do where there is no GPU.
tensorrt/test_real_bindings.py asks the real ones.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.engine.runtime.select import Engines, open_runtime
from gar_ros.engine.runtime.tensorrt.runner import TensorRtRuntime
from gar_ros.errors import ErrorCode, GarError, GpuLostError, OutOfMemoryError
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt

ONLY_CPU = ["CPUExecutionProvider"]


@pytest.fixture(scope="module")
def model() -> ModelDir:
    return ModelDir.open(default_model_dir())


class Raising:
    """As cuda-python 12.6 without libcuda: every function raises."""

    cudaError_t = StandInCuda.cudaError_t  # noqa: N815 CUDA's name

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def function(*_: object) -> None:
            missing = "Failed to dlopen libcuda.so.1" if name == "cudaGetDeviceCount" else 'Function "cuInit" not found'
            raise RuntimeError(missing)

        return function


class Answering(StandInCuda):
    """As cuda-python 12.9 and 13 without libcuda: a status, and nothing else."""

    def cudaGetDeviceCount(self) -> tuple[Any, Any]:  # noqa: N802
        return self.cudaError_t.cudaErrorInsufficientDriver, None


BINDINGS: list[Any] = [
    pytest.param(Raising(), id="12.6"),
    pytest.param(Answering(), id="12.9 and 13"),
    pytest.param(None, id="not installed"),
    pytest.param(SimpleNamespace(), id="another package of that name"),
]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], StandInTensorRt]:
    """`machine(bindings)` has TensorRT, these bindings and no other provider."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ONLY_CPU)

    def make(bindings: object) -> StandInTensorRt:
        trt = StandInTensorRt(bindings if isinstance(bindings, StandInCuda) else StandInCuda())
        for name, module in (("tensorrt", trt), ("tensorrt_rtx", None), ("cuda.bindings.runtime", bindings)):
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setitem(sys.modules, "cuda.bindings.driver", SimpleNamespace(cuuint64_t=int))
        return trt

    return make


@pytest.mark.parametrize("bindings", BINDINGS)
def test_auto_falls_back_whatever_cuda_python_does_without_a_gpu(
    model: ModelDir, machine: Callable[[object], object], caplog: pytest.LogCaptureFixture, bindings: object
) -> None:
    caplog.set_level(logging.INFO, "gar_ros")
    machine(bindings)
    assert open_runtime(model, "auto", 1, allow_fallback=False).provider == "cpu"
    assert "tensorrt is not available: TensorRT can't be used here: " in caplog.messages[-1]
    with pytest.raises(GarError, match=r"^tensorrt was asked for; tensorrt is not available: ") as caught:
        open_runtime(model, "tensorrt", 1, allow_fallback=False)
    assert caught.value.code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize(
    "error", [RuntimeError("Function cudaMallocAsync not found"), TypeError(), OSError("libnvrtc")]
)
def test_auto_falls_back_whatever_a_library_raises_later(
    model: ModelDir,
    machine: Callable[[object], StandInTensorRt],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    error: Exception,
) -> None:
    caplog.set_level(logging.INFO, "gar_ros")
    cuda = StandInCuda()
    machine(cuda)
    GarEngine.open(model.path, "tensorrt", engines=Engines(tmp_path, build=True)).close()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(cuda, "cudaStreamCreate", fail)
    assert open_runtime(model, "auto", 1, False, Engines(tmp_path)).provider == "cpu"
    assert "tensorrt is not available: " in caplog.messages[-1]


def fail_first_run(monkeypatch: pytest.MonkeyPatch, reason: str) -> list[str]:
    """A wheel that lists CUDA, makes a session, and fails when that runs; the graphs that it was to run."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *ONLY_CPU])
    load, tried = OrtRuntime.load, []

    def load_for_cuda(self: OrtRuntime, graph: Path) -> Any:
        runner = load(OrtRuntime("cpu", 1), graph)
        if self.provider == "cuda":

            def refuse(*_: object) -> None:
                tried.append(graph.name)
                raise RuntimeError(reason)

            monkeypatch.setattr(runner, "_bound_run", refuse)
        return runner

    monkeypatch.setattr(OrtRuntime, "load", load_for_cuda)
    return tried


NO_KERNELS = "CUDA failure 209: no kernel image is available for execution on the device ; GPU=0"
LOST = "CUDA error cudaErrorIllegalAddress:an illegal memory access was encountered"


@pytest.mark.parametrize("reason", [NO_KERNELS, LOST])
def test_a_wheel_that_lists_cuda_but_cannot_run_it_is_passed_over_by_auto_and_an_error_when_asked_for(
    model: ModelDir, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    caplog.set_level(logging.INFO, "gar_ros")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    tried = fail_first_run(monkeypatch, reason)
    assert open_runtime(model, "auto", 1, allow_fallback=False).provider == "cpu"
    assert f"cuda is not available: ONNX Runtime could not run {REPLAY}: {reason}" in caplog.messages[-1]
    with pytest.raises(GarError, match=f"cuda is not available: ONNX Runtime could not run {REPLAY}") as caught:
        open_runtime(model, "cuda", 1, allow_fallback=False)
    assert (caught.value.code, isinstance(caught.value, GpuLostError)) == (ErrorCode.INVALID_REQUEST, False)
    assert tried == [REPLAY, REPLAY]


def test_tensorrt_is_available_once_it_ran(
    model: ModelDir, machine: Callable[[object], StandInTensorRt], tmp_path: Path
) -> None:
    trt = machine(StandInCuda())
    engine = GarEngine.open(model.path, "tensorrt", engines=Engines(tmp_path, build=True))
    assert {path.name.split("-")[0] for path in tmp_path.glob("*.engine")} == {
        name.removesuffix(".onnx") for name in (VISION, REPLAY, DECODER)
    }
    assert trt.cuda.calls["execute"] == 1
    trt.refusal = "no kernel image is available"
    engine.close()
    assert open_runtime(model, "auto", 1, False, Engines(tmp_path)).provider == "cpu"


def test_auto_goes_on_where_the_larger_graphs_cannot_be_loaded(
    model: ModelDir,
    machine: Callable[[object], StandInTensorRt],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """As on a GPU without memory for the decoder."""
    caplog.set_level(logging.INFO, "gar_ros")
    trt = machine(StandInCuda())
    GarEngine.open(model.path, "tensorrt", engines=Engines(tmp_path, build=True)).close()
    load = TensorRtRuntime.load

    def load_small(self: TensorRtRuntime, graph: Path) -> Any:
        if graph.name == DECODER:
            raise OutOfMemoryError("out of memory")
        return load(self, graph)

    monkeypatch.setattr(TensorRtRuntime, "load", load_small)
    assert GarEngine.open(model.path, "auto", 1, engines=Engines(tmp_path)).provider == "cpu"
    assert any("tensorrt is not available: out of memory" in message for message in caplog.messages)
    assert (trt.cuda.streams, len(trt.engines)) == (0, 0)
    with pytest.raises(OutOfMemoryError):
        GarEngine.open(model.path, "tensorrt", 1, engines=Engines(tmp_path))
    assert GarEngine.open(model.path, "tensorrt", 1, True, engines=Engines(tmp_path)).provider == "cpu"
