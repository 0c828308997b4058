# SPDX-License-Identifier: Apache-2.0
"""A stand-in GPU, and a small graph with two profiles."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.select import Engines
from gar_ros.engine.runtime.tensorrt.device import Device
from gar_ros.engine.runtime.tensorrt.installed import TensorRt
from gar_ros.engine.runtime.tensorrt.scratch import Scratch
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt


@pytest.fixture(scope="package")
def four_tiles_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """gar-tiny as if it took four tiles of 288 px and a thumbnail, 8 x 8 tokens each, as the released models do."""
    folder = tmp_path_factory.mktemp("four_tiles") / "model"
    shutil.copytree(default_model_dir(), folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["tiles"] |= {"max_tiles": 4, "thumbnail": True}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture
def cuda_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is used of the modules cuda.bindings and cuda.bindings.driver, whether they are installed or not."""
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(__version__="12.9.1"))
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", SimpleNamespace(cuuint64_t=int))


@pytest.fixture
def cuda(cuda_driver: None) -> StandInCuda:
    return StandInCuda()


@pytest.fixture
def device(cuda: StandInCuda) -> Device:
    return Device(cuda)


@pytest.fixture
def scratch(device: Device) -> Scratch:
    return Scratch(device)


@pytest.fixture
def trt(cuda: StandInCuda) -> StandInTensorRt:
    return StandInTensorRt(cuda)


@pytest.fixture
def tensorrt(trt: StandInTensorRt) -> TensorRt:
    return TensorRt(trt, "tensorrt 10.3.0", "Stand-in, SM87")


def open_engine(monkeypatch: pytest.MonkeyPatch, trt: StandInTensorRt, model: Path, engines: Path) -> GarEngine:
    """On the stand-in, with the engines of this folder, which are built where they are missing."""
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", trt.cuda)
    return GarEngine.open(model, "tensorrt", engines=Engines(engines, build=True))


@pytest.fixture
def engine(
    trt: StandInTensorRt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, four_tiles_model_dir: Path
) -> GarEngine:
    return open_engine(monkeypatch, trt, four_tiles_model_dir, tmp_path / "engines")


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """total [p + n, 2] = past [p, 2] and twice new [n, 2]; last [1, 2]: all float32."""
    nodes = [("Add", ["new", "new"], ["twice"], {}), ("Concat", ["past", "twice"], ["total"], {"axis": 0})]
    nodes.append(("ReduceSum", ["total", "axis"], ["sum"], {"keepdims": 1}))
    return _write_graph(tmp_path / "graph.onnx", nodes, {"total": ["n", 2], "sum": [1, 2]})


@pytest.fixture
def in_place_graph(tmp_path: Path) -> Path:
    """present [n, 2] = past [n, 2] and new [n, 2] added up, float32."""
    return _write_graph(tmp_path / "in_place.onnx", [("Add", ["past", "new"], ["present"], {})], {"present": ["n", 2]})


@pytest.fixture
def decode_graph(tmp_path: Path) -> Path:
    """As a decoder's step: present [n, 2] = past [n, 2] and new [1, 2] added to each row, sum [1, 2] of its rows."""
    nodes = [("Add", ["past", "new"], ["present"], {}), ("ReduceSum", ["present", "axis"], ["sum"], {"keepdims": 1})]
    return _write_graph(tmp_path / "decode.onnx", nodes, {"present": ["n", 2], "sum": [1, 2]})


def _write_graph(path: Path, nodes: list[Any], outputs: dict[str, list[Any]]) -> Path:
    """Of the inputs past and new."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed, which makes the graph (make test)")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    made = [helper.make_node(name, taken, given, **attributes) for name, taken, given, attributes in nodes]
    inputs = [helper.make_tensor_value_info(name, kind, [name, 2]) for name in ("past", "new")]
    results = [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()]
    axis = helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [0])
    graph = helper.make_graph(made, "g", inputs, results, [axis])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path
