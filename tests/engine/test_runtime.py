"""ONNX Runtime behind the runner protocol, and the choice of a provider."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from gar_ros.engine.runtime.choose import open_runtime
from gar_ros.engine.runtime.ort import OrtRuntime
from gar_ros.errors import ErrorCode, GarError

onnx = pytest.importorskip("onnx")


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


def test_auto_says_which_provider_and_why(graph: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "gar_ros"):
        runtime = open_runtime("auto", 1, allow_fallback=False, probe=graph)
    assert runtime.provider in ("cpu", "cuda")
    assert len(caplog.messages) == 1
    assert f" on {runtime.provider}: auto was asked for" in caplog.messages[0]


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_is_an_error_unless_fallback_is_allowed(
    graph: Path, provider: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(GarError, match=f"{provider} is not available") as caught:
        open_runtime(provider, 1, allow_fallback=False, probe=graph)
    assert caught.value.code == ErrorCode.INVALID_REQUEST
    with caplog.at_level(logging.INFO, "gar_ros"):
        assert open_runtime(provider, 1, allow_fallback=True, probe=graph).provider == "cpu"
    assert f"{provider} is not available" in caplog.text


def test_a_provider_that_is_listed_but_does_not_work_is_not_used(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As onnxruntime-gpu without a GPU: listed, and the session quietly runs on the CPU."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is listed here")
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    assert open_runtime("auto", 1, allow_fallback=False, probe=graph).provider == "cpu"
    with pytest.raises(GarError, match="no such device works here"):
        open_runtime("cuda", 1, allow_fallback=False, probe=graph)


@pytest.mark.parametrize(("provider", "threads"), [("gpu", 0), ("cpu", -1), ("", 0)])
def test_unknown_settings_are_refused(graph: Path, provider: str, threads: int) -> None:
    with pytest.raises(GarError, match="expected") as caught:
        open_runtime(provider, threads, allow_fallback=True, probe=graph)
    assert caught.value.code == ErrorCode.INVALID_REQUEST


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.onnx"
    path.write_text("not a graph")
    with pytest.raises(GarError, match=r"graph\.onnx' can't be loaded on cpu") as caught:
        OrtRuntime("cpu", threads=1).load(path)
    assert caught.value.code == ErrorCode.BAD_MODEL
