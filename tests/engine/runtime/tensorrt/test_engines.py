# SPDX-License-Identifier: Apache-2.0
"""A model's engines on the stand-in: built once, again when something changed, and only when that is allowed."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION
from gar_ros.engine.runtime.tensorrt.builder import BuildOptions, build_engine, interruptible
from gar_ros.engine.runtime.tensorrt.cache import EngineCache
from gar_ros.engine.runtime.tensorrt.engines import GRAPHS, EngineSource, graph_files
from gar_ros.engine.runtime.tensorrt.installed import TensorRt
from gar_ros.engine.runtime.tensorrt.profiles import Range
from gar_ros.errors import ErrorCode, GarError
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt


@pytest.fixture(scope="module")
def model(four_tiles_model_dir: Path) -> ModelDir:
    return ModelDir.open(four_tiles_model_dir)


@pytest.fixture
def source(model: ModelDir, tensorrt: TensorRt, tmp_path: Path) -> EngineSource:
    return EngineSource(model, tensorrt, EngineCache(tmp_path / "engines"), build=True)


def test_each_engine_is_built_once(source: EngineSource, trt: StandInTensorRt) -> None:
    assert len(source.missing()) == 3
    paths = [source.engine(graph) for graph in GRAPHS]
    assert [len(config.profiles) for config in trt.builds] == [1, 3, 2]
    assert source.missing() == []
    assert [source.engine(graph) for graph in GRAPHS] == paths
    assert len(trt.builds) == 3


def test_a_damaged_engine_is_built_again_and_the_log_says_why(source: EngineSource, trt: StandInTensorRt) -> None:
    path = source.engine(REPLAY)
    path.write_bytes(path.read_bytes()[:100])
    lines: list[str] = []
    assert source.engine(REPLAY, lines.append) == path
    assert len(trt.builds) == 2
    assert "is damaged" in lines[0]
    assert lines[0].endswith(": building")


@pytest.mark.parametrize(
    "change", [{"version": "tensorrt 10.13.0"}, {"gpu": "Stand-in, SM110"}], ids=["TensorRT", "GPU"]
)
def test_another_tensorrt_or_gpu_needs_engines_of_its_own(
    source: EngineSource, trt: StandInTensorRt, change: dict[str, Any]
) -> None:
    path = source.engine(REPLAY)
    other = dataclasses.replace(source, tensorrt=dataclasses.replace(source.tensorrt, **change))
    assert len(other.missing()) == 3
    assert other.engine(REPLAY) != path
    assert source.engine(REPLAY) == path
    assert len(trt.builds) == 2


def test_another_graph_weights_precision_or_shapes_need_engines_of_their_own(source: EngineSource) -> None:
    manifest = source.model.manifest
    entry = msgspec.structs.replace(manifest.files[DECODER], sha256="0" * 64)
    changes: list[dict[str, Any]] = [
        {"files": {**manifest.files, DECODER: entry}},
        {"files": {**manifest.files, f"{DECODER}.data": entry}},
        {"dtypes": {**manifest.dtypes, **dict.fromkeys(GRAPHS, "float16")}},
        {"sizes": msgspec.structs.replace(manifest.sizes, max_positions=1024)},
    ]
    keys = {source.key(DECODER)}
    for change in changes:
        model = dataclasses.replace(source.model, manifest=msgspec.structs.replace(manifest, **change))
        keys.add(dataclasses.replace(source, model=model).key(DECODER))
    assert len(keys) == 5


def test_an_engine_is_found_whatever_its_builder_was_told(source: EngineSource, trt: StandInTensorRt) -> None:
    """Scratch memory and kernel timings change how fast it is, not what it computes."""
    path = dataclasses.replace(source, options=BuildOptions(workspace_gib=2)).engine(REPLAY)
    assert dataclasses.replace(source, build=False).engine(REPLAY) == path
    assert len(trt.builds) == 1


def test_a_graphs_weights_beside_it_belong_to_it(source: EngineSource) -> None:
    manifest = source.model.manifest
    files = {**manifest.files, "decoder.onnx.data": manifest.files[DECODER], "vision.onnx.data": manifest.files[VISION]}
    assert graph_files(msgspec.structs.replace(manifest, files=files), DECODER) == ["decoder.onnx", "decoder.onnx.data"]


def test_without_leave_to_build_the_error_names_the_command(source: EngineSource, trt: StandInTensorRt) -> None:
    with pytest.raises(GarError, match=r"no engine of replay\.onnx .* run `gar build-engine ") as caught:
        dataclasses.replace(source, build=False).engine(REPLAY)
    assert caught.value.code == ErrorCode.BAD_MODEL
    assert trt.builds == []


def test_progress_tells_what_is_built_and_the_log_what_tensorrt_says(source: EngineSource) -> None:
    lines: list[str] = []
    path = source.engine(REPLAY, lines.append)
    assert lines[1] == "replay.onnx: Building, step 1 of 2"
    assert lines[-1].startswith("replay.onnx: built in ")
    assert path.with_suffix(".log").read_text().endswith(" building\n")


def test_workspace_and_timing_cache_reach_the_builder(
    source: EngineSource, trt: StandInTensorRt, tmp_path: Path
) -> None:
    timings = tmp_path / "timings"
    timings.write_bytes(b"earlier")
    dataclasses.replace(source, options=BuildOptions(1.5, timings)).engine(REPLAY)
    assert list(trt.builds[0].limits.values()) == [3 << 29]
    assert timings.read_bytes() == b"earlier+"


def test_timings_are_kept_in_the_cache_folder_by_default(source: EngineSource) -> None:
    source.engine(REPLAY)
    (timings,) = source.cache.folder.glob("timing-*")
    assert timings.name == "timing-tensorrt-10.3.0-Stand-in-SM87.cache"
    source.engine(DECODER)
    assert timings.read_bytes() == b"++"


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, as it doesn't where a shell started the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_stops_the_builder_and_reaches_the_caller() -> None:
    told: list[bool] = []

    def job(stop: threading.Event) -> memoryview:
        assert threading.current_thread() is not threading.main_thread()
        os.kill(os.getpid(), signal.SIGINT)
        told.append(stop.wait(30))
        return memoryview(b"")

    with pytest.raises(KeyboardInterrupt):
        interruptible(job)
    assert told == [True]


def test_a_builder_that_is_told_to_stop_leaves_no_engine(source: EngineSource, trt: StandInTensorRt) -> None:
    def fail(line: str) -> None:
        if "step" in line:
            raise RuntimeError("broken pipe")

    with pytest.raises(RuntimeError, match="broken pipe"):
        source.engine(REPLAY, fail)
    assert len(source.missing()) == 3
    assert trt.builds == []


def test_a_model_with_integer_weights_is_refused(source: EngineSource) -> None:
    manifest = source.model.manifest
    dtypes = {**manifest.dtypes, DECODER: "int4"}
    model = dataclasses.replace(source.model, manifest=msgspec.structs.replace(manifest, dtypes=dtypes))
    with pytest.raises(
        GarError, match=r"decoder\.onnx has int4 weights in blocks, which .*cpu.* --precision fp16, bf16 or"
    ):
        dataclasses.replace(source, model=model)


def test_a_graph_that_tensorrt_cannot_take_is_refused_with_its_words(tensorrt: TensorRt, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_text("no graph")
    with pytest.raises(GarError, match=r"can't take .*x\.onnx': RoiAlign: no importer") as caught:
        build_engine(tensorrt, tmp_path / "x.onnx", [{}], BuildOptions(), tmp_path / "log", print)
    assert caught.value.code == ErrorCode.BAD_MODEL


def test_a_graph_with_other_inputs_than_the_profile_is_refused(tensorrt: TensorRt, graph: Path, tmp_path: Path) -> None:
    profile = {"past": Range((1, 2), (1, 2), (1, 2))}
    with pytest.raises(GarError, match=r"expected the inputs \['past'\], got \['new', 'past'\]"):
        build_engine(tensorrt, graph, [profile], BuildOptions(), tmp_path / "log", print)


def test_exporting_again_does_not_meet_engines_in_the_model_folder(source: EngineSource, tmp_path: Path) -> None:
    """Engines live elsewhere: the model folder stays as exported, and may be read-only."""
    folder = tmp_path / "model"
    shutil.copytree(source.model.path, folder)
    before = sorted(folder.rglob("*"))
    model = ModelDir.open(folder)
    dataclasses.replace(source, model=model).engine(REPLAY)
    assert sorted(folder.rglob("*")) == before
