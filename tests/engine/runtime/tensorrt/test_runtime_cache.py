# SPDX-License-Identifier: Apache-2.0
"""Kernels that TensorRT for RTX compiles at run time are kept in a file, on the stand-in."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gar_ros.engine.runtime.tensorrt.builder import DEFAULT_OPTIONS, build_engine
from gar_ros.engine.runtime.tensorrt.device import Device
from gar_ros.engine.runtime.tensorrt.execution import LoadedEngine
from gar_ros.engine.runtime.tensorrt.installed import TensorRt
from gar_ros.engine.runtime.tensorrt.profiles import Range
from gar_ros.engine.runtime.tensorrt.run_log import make_run_log
from gar_ros.engine.runtime.tensorrt.runner import TensorRtRunner
from gar_ros.engine.runtime.tensorrt.runtime_cache import RuntimeCache, runtime_cache_path
from gar_ros.engine.runtime.tensorrt.scratch import Scratch
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_rtx import StandInRtx

PROFILES = tuple({"past": Range((1, 2), (3, 2), (9, 2)), "new": Range((1, 2), (1, 2), (most, 2))} for most in (1, 2))
Start = Callable[..., tuple[StandInRtx, TensorRtRunner]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return runtime_cache_path(tmp_path / "decoder-SM86-0123.engine")


@pytest.fixture
def start(cuda_driver: None, decode_graph: Path, path: Path) -> Start:
    """As a process begins: a runner with the cache's file, on a machine with this driver."""

    def begin(environment: str = "driver 580") -> tuple[StandInRtx, TensorRtRunner]:
        cuda = StandInCuda()
        rtx = StandInRtx(cuda, environment)
        found = TensorRt(rtx, "tensorrt_rtx 1.7.1", "SM86")
        content = build_engine(found, decode_graph, PROFILES, DEFAULT_OPTIONS, path.with_suffix(".log"), print)
        log, device = make_run_log(rtx), Device(cuda)
        engine = rtx.Runtime(log).deserialize_cuda_engine(content)
        loaded = LoadedEngine(rtx, engine, device, Scratch(device), "decode.onnx", log, RuntimeCache(path))
        return rtx, TensorRtRunner(loaded)

    return begin


def run(runner: TensorRtRunner, rows: int = 1) -> float:
    ones = np.ones((rows, 2), np.float32)
    return float(runner.run({"past": ones, "new": ones[:rows]})["sum"].numpy()[0, 0])


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_what_was_compiled_once_is_not_compiled_at_the_next_start(
    start: Start, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rtx, runner = start()
    assert [run(runner), run(runner, 2), run(runner)] == [2, 4, 2]
    assert rtx.compiled == ["kernel of profile 0", "kernel of profile 1"]
    rtx, runner = start()
    assert [run(runner), run(runner, 2)] == [2, 4]
    assert (rtx.compiled, told(caplog)) == ([], [])
    assert path.name == "decoder-SM86-0123.kernels"


def test_the_file_is_written_after_the_first_runs_and_then_left_alone(start: Start, path: Path) -> None:
    _, runner = start()
    run(runner)
    before = path.read_bytes()
    run(runner, 2)
    assert path.read_bytes() != before
    written = path.stat().st_mtime_ns
    for _ in range(3):
        run(runner)
    _, runner = start()
    run(runner, 2)
    assert path.stat().st_mtime_ns == written
    assert [file.name for file in path.parent.glob(".*")] == []


@pytest.mark.parametrize("damage", [b"", b"odd", b"cut", b"changed"])
def test_a_damaged_file_is_told_once_and_written_again(
    start: Start, path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    _, runner = start()
    run(runner)
    whole = path.read_bytes()
    path.write_bytes({b"cut": whole[:-1], b"changed": whole.replace(b"profile", b"project")}.get(damage, damage))
    rtx, runner = start()
    assert run(runner) == 2
    assert len(rtx.compiled) == 1
    (line,) = told(caplog)
    assert line == f"'{path}' is damaged: its kernels are compiled again, and it is written again"
    assert path.read_bytes() == whole


def test_the_file_of_another_machine_is_told_once_and_written_again(
    start: Start, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, runner = start("driver 570")
    run(runner)
    for compiled in (1, 0):
        rtx, runner = start("driver 580")
        assert run(runner) == 2
        assert len(rtx.compiled) == compiled
    (line,) = told(caplog)
    assert "is for another GPU, driver or version of TensorRT for RTX" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_costs_a_line(
    start: Start, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, runner = start()
    path.parent.chmod(0o500)
    assert [run(runner), run(runner, 2)] == [2, 4]
    path.parent.chmod(0o700)
    (line,) = told(caplog)
    assert "can't be written" in line


def test_a_file_that_can_not_be_read_or_written_costs_a_line(
    start: Start, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.mkdir()
    _, runner = start()
    assert [run(runner), run(runner, 2)] == [2, 4]
    (line,) = told(caplog)
    assert "kernels are compiled at each start" in line


def test_a_run_is_captured_only_where_tensorrt_for_rtx_allows_it(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    for capturable, launches in ((True, 2), (False, 0)):
        rtx, runner = start()
        rtx.capturable = capturable
        assert rtx.BuilderFlag.REQUIRE_USER_ALLOCATION in rtx.builds[0].flags
        buffer = runner.zeros("past", (3, 2))
        for _ in range(4):
            runner.run_in_place({"past": buffer, "new": np.ones((1, 2), np.float32)}, {"present": "past"})
        assert float(buffer.numpy()[0, 0]) == 4
        assert rtx.cuda.calls["launch"] == launches
    (line,) = told(caplog)
    assert line.endswith("can't be captured; build its engine again: it gave no reason")
