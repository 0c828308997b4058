# SPDX-License-Identifier: Apache-2.0
"""TensorRT for RTX compiles every graph meant for the GPU: real engines, built on this machine without one."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

from gar_ros.cli.main import main
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.runtime.tensorrt.builder import DEFAULT_OPTIONS, build_engine
from gar_ros.engine.runtime.tensorrt.cache import EngineCache
from gar_ros.engine.runtime.tensorrt.engines import GRAPHS, EngineSource
from gar_ros.engine.runtime.tensorrt.installed import rtx_for
from gar_ros.engine.runtime.tensorrt.profiles import graph_profiles
from gar_ros.errors import ErrorCode, GarError


@pytest.fixture(scope="module", params=["fp16_1b", "fp16_8b", "fp16_tiny"])
def half(request: pytest.FixtureRequest) -> ModelDir:
    """GAR in float16: small, but with the released models' tile counts, regions and 11520 positions; and gar-tiny."""
    return ModelDir.open(request.getfixturevalue(request.param))


@pytest.mark.parametrize("graph", GRAPHS)
def test_graphs_for_the_gpu_have_standard_operators_only(half: ModelDir, graph: str) -> None:
    model = onnx.load(half.file(graph), load_external_data=False)
    assert {node.domain for node in model.graph.node} == {""}
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert not model.functions


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_graph_becomes_an_engine(half: ModelDir, graph: str, tmp_path: Path) -> None:
    profiles = graph_profiles(half.manifest)[graph]
    log = tmp_path / "log"
    engine = build_engine(rtx_for("SM86"), half.file(graph), profiles, DEFAULT_OPTIONS, log, print)
    assert engine.nbytes > 100_000
    said = log.read_text()
    assert "Engine generation completed" in said
    complaints = [line for line in said.splitlines() if re.search(r"WARN|ERROR", line) and "Int64 binding" not in line]
    assert complaints == []


def test_the_command_builds_for_other_machines_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["build-engine", "--cache", str(tmp_path), "--rtx", "SM86,SM89"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    paths = [Path(line) for line in out.splitlines()]
    expected = [f"{graph}-{target}" for target in ("SM86", "SM89") for graph in ("vision", "replay", "decoder")]
    assert [path.name.rpartition("-")[0] for path in paths] == expected
    assert err.count(": built in ") == 6
    stamps = [path.stat().st_mtime_ns for path in paths]
    assert main(command) == 0
    again = capsys.readouterr()
    assert (again.out, again.err.count("built in")) == (out, 0)
    assert [path.stat().st_mtime_ns for path in paths] == stamps
    for target in ("SM86", "SM89"):
        source = EngineSource(ModelDir.open(default_model_dir()), rtx_for(target), EngineCache(tmp_path), build=False)
        assert source.missing() == []


def test_what_tensorrt_cannot_build_is_told_in_its_words(tmp_path: Path) -> None:
    """GroupQueryAttention, one of ONNX Runtime's own operators."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT16
    node = helper.make_node("GroupQueryAttention", ["x"], ["y"], domain="com.microsoft", num_heads=2, kv_num_heads=1)
    values = [helper.make_tensor_value_info(name, kind, ["n", 4]) for name in "xy"]
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(
        helper.make_graph([node], "g", values[:1], values[1:]), opset_imports=opsets, ir_version=9
    )
    path = tmp_path / "contrib.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(GarError, match="GroupQueryAttention") as caught:
        build_engine(rtx_for("SM86"), path, [], DEFAULT_OPTIONS, tmp_path / "log", print)
    assert caught.value.code == ErrorCode.BAD_MODEL


@pytest.mark.parametrize("target", ["SM87", "86", ""])
def test_targets_that_rtx_does_not_know_are_refused(target: str) -> None:
    with pytest.raises(GarError, match=r"expected a compute capability out of .*SM86.*, got"):
        rtx_for(target)
