# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime behind the runner protocol, and the choice of a provider."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest

from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER, VISION
from gar_ros.engine.runtime.ort import OrtRuntime, thread_settings
from gar_ros.engine.runtime.select import Engines, open_runtime
from gar_ros.errors import ErrorCode, GarError
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """total = past + new * 2, float32, any length."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Add", ["new", "new"], ["twice"]), helper.make_node("Add", ["past", "twice"], ["total"])]
    inputs = [helper.make_tensor_value_info(name, kind, ["n"]) for name in ("past", "new")]
    outputs = [helper.make_tensor_value_info("total", kind, ["n"])]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    path = tmp_path / "graph.onnx"
    onnx.save(model, path)
    return path


def test_outputs_can_be_fed_back_and_inputs_stay(graph: Path) -> None:
    runner = OrtRuntime("cpu", threads=1).load(graph)
    new = np.array([1, 2])  # int64: cast to the graph's float32
    first = runner.run({"past": np.zeros(2, np.float32), "new": new})["total"]
    second = runner.run({"past": first, "new": new})["total"]
    np.testing.assert_array_equal(second.numpy(), [4, 8])
    np.testing.assert_array_equal(first.numpy(), [2, 4])


def test_features_are_joined_on_the_host_in_float32(graph: Path) -> None:
    runtime = OrtRuntime("cpu", threads=1)
    total = runtime.load(graph).run({"past": np.zeros(2), "new": np.ones(2)})["total"]
    joined = runtime.join([np.array([7], np.float16), total])
    assert isinstance(joined, np.ndarray)
    assert joined.dtype == np.float32
    np.testing.assert_array_equal(joined, [7, 2, 2])


@pytest.fixture(scope="module")
def model() -> ModelDir:
    return ModelDir.open(default_model_dir())


@pytest.fixture
def nothing_but_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    for name in ("tensorrt", "tensorrt_rtx", "cuda.bindings.runtime"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch, nothing_but_cpu: None) -> StandInTensorRt:
    """TensorRT and a GPU, as stand-ins."""
    cuda = StandInCuda()
    made = StandInTensorRt(cuda)
    monkeypatch.setitem(sys.modules, "tensorrt", made)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", SimpleNamespace(cuuint64_t=int))
    return made


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "gar_ros.engine.runtime.select")
    return caplog


def test_auto_on_a_plain_machine_is_the_cpu_and_one_line_says_why(
    model: ModelDir, nothing_but_cpu: None, said: pytest.LogCaptureFixture
) -> None:
    assert open_runtime(model, "auto", 1, allow_fallback=False).provider == "cpu"
    (line,) = said.messages
    assert line.startswith(
        f"ONNX Runtime {onnxruntime.__version__} on cpu: auto was asked for; tensorrt is not available"
    )
    assert "cuda is not available: this onnxruntime has CPUExecutionProvider, not CUDAExecutionProvider" in line


@pytest.mark.usefixtures("nothing_but_cpu")
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_an_error_unless_fallback_is_allowed(
    model: ModelDir, provider: str, said: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(GarError, match=f"^{provider} was asked for; {provider} is not available: ") as caught:
        open_runtime(model, provider, 1, allow_fallback=False)
    assert caught.value.code == ErrorCode.INVALID_REQUEST
    assert said.messages == []
    assert open_runtime(model, provider, 1, allow_fallback=True).provider == "cpu"
    (line,) = said.messages
    assert f"on cpu: {provider} was asked for; {provider} is not available: " in line


def test_auto_takes_tensorrt_only_where_its_engines_are_built(
    model: ModelDir, trt: StandInTensorRt, said: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    engines = Engines(tmp_path, build=True)
    assert open_runtime(model, "auto", 1, False, engines).provider == "cpu"
    assert "no engine of vision.onnx for tensorrt 10.3.0 on Stand-in, SM87" in said.messages[-1]
    assert trt.builds == []
    built = open_runtime(model, "tensorrt", 1, False, engines)
    for name in (VISION, DECODER):
        built.load(model.file(name))
    assert open_runtime(model, "auto", 1, False, engines).provider == "tensorrt"
    assert said.messages[-1] == ("tensorrt 10.3.0 on Stand-in, SM87, 16 multiprocessors, 64 GiB: auto was asked for")
    assert open_runtime(model, "tensorrt", 1, False, Engines(tmp_path)).provider == "tensorrt"


def test_tensorrt_without_engines_names_the_command(model: ModelDir, trt: StandInTensorRt, tmp_path: Path) -> None:
    with pytest.raises(GarError, match=r"no engine of vision\.onnx .* run `gar build-engine .*` on this machine"):
        open_runtime(model, "tensorrt", 1, False, Engines(tmp_path))
    assert trt.builds == []


def test_a_damaged_engine_is_not_run(model: ModelDir, trt: StandInTensorRt, tmp_path: Path) -> None:
    building = open_runtime(model, "tensorrt", 1, False, Engines(tmp_path, build=True))
    for name in (VISION, DECODER):
        building.load(model.file(name))
    (engine,) = tmp_path.glob("vision-*.engine")
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(GarError, match="is damaged"):
        open_runtime(model, "tensorrt", 1, False, Engines(tmp_path))


def test_cuda_that_is_listed_but_does_not_work_is_not_taken_for_it(
    model: ModelDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As onnxruntime-gpu without a GPU: listed, and the session quietly runs on the CPU."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is listed here")
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    assert open_runtime(model, "auto", 1, allow_fallback=False).provider == "cpu"
    with pytest.raises(GarError, match="no such device works here"):
        open_runtime(model, "cuda", 1, allow_fallback=False)


@pytest.mark.parametrize(("provider", "threads"), [("gpu", 0), ("cpu", -1), ("", 0)])
def test_unknown_settings_are_refused(model: ModelDir, provider: str, threads: int) -> None:
    with pytest.raises(GarError, match="expected") as caught:
        open_runtime(model, provider, threads, allow_fallback=True)
    assert caught.value.code == ErrorCode.INVALID_REQUEST


def test_onnx_runtimes_own_way_to_tensorrt_names_what_to_use_instead(model: ModelDir) -> None:
    with pytest.raises(GarError, match=r"no provider 'tensorrt-ort', .* use 'tensorrt', whose engines") as caught:
        open_runtime(model, "tensorrt-ort", 1, allow_fallback=True)
    assert caught.value.code == ErrorCode.INVALID_REQUEST


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_text("not a graph")
    with pytest.raises(GarError, match=r"graph\.onnx' can't be loaded on cpu") as caught:
        OrtRuntime("cpu", threads=1).load(path)
    assert caught.value.code == ErrorCode.BAD_MODEL


def test_workers_wait_for_the_next_operator_only_where_the_time_can_be_bounded() -> None:
    older, newer = thread_settings("1.23.2"), thread_settings("1.32.0")
    assert older["session.intra_op.allow_spinning"] == "0"
    assert newer["session.intra_op.allow_spinning"] == "1"
    assert 0 < int(newer["session.intra_op.spin_duration_us"]) <= 100
    assert thread_settings("2.0.0.dev1") == newer
