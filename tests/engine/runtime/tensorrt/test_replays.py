# SPDX-License-Identifier: Apache-2.0
"""CUDA graphs of runs that repeat, on the stand-in: when they are made, and that they never write what others hold.

The stand-in replays what was captured on the addresses that were captured, whoever has that memory by then.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gar_ros.engine.runtime.tensorrt.builder import DEFAULT_OPTIONS, build_engine
from gar_ros.engine.runtime.tensorrt.captured_run import CapturedRun
from gar_ros.engine.runtime.tensorrt.device import Device, DeviceArray
from gar_ros.engine.runtime.tensorrt.execution import LoadedEngine
from gar_ros.engine.runtime.tensorrt.installed import TensorRt
from gar_ros.engine.runtime.tensorrt.profiles import Range
from gar_ros.engine.runtime.tensorrt.replays import KEPT, Replays
from gar_ros.engine.runtime.tensorrt.run_log import make_run_log
from gar_ros.engine.runtime.tensorrt.runner import TensorRtRunner
from gar_ros.engine.runtime.tensorrt.scratch import Scratch
from gar_ros.errors import GarError, GpuLostError
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt

PROFILES = ({"past": Range((1, 2), (3, 2), (9, 2)), "new": Range((1, 2), (1, 2), (1, 2))},)
ROWS = 3
UP, ACROSS = "cudaMemcpyHostToDevice", "cudaMemcpyDeviceToDevice"
WRITTEN = {"present": "past"}


@pytest.fixture
def runner(
    trt: StandInTensorRt, tensorrt: TensorRt, decode_graph: Path, device: Device, scratch: Scratch
) -> TensorRtRunner:
    content = build_engine(tensorrt, decode_graph, PROFILES, DEFAULT_OPTIONS, decode_graph.with_suffix(".log"), print)
    log = make_run_log(trt)
    engine = trt.Runtime(log).deserialize_cuda_engine(content)
    return TensorRtRunner(LoadedEngine(trt, engine, device, scratch, "decode.onnx", log))


def row(value: float) -> np.ndarray:
    return np.array([[value, -value]], np.float32)


def step(runner: TensorRtRunner, buffer: DeviceArray, value: Any) -> DeviceArray:
    """Adds a row to each of the buffer's rows; the sum of the buffer's rows."""
    new = row(value) if isinstance(value, (int, float)) else value
    outputs = runner.run_in_place({"past": buffer, "new": new}, WRITTEN)
    assert outputs["present"] is buffer
    return outputs["sum"]


def first(array: DeviceArray) -> float:
    return float(array.numpy()[0, 0])


def check_that_buffers_are_apart(runner: TensorRtRunner) -> None:
    """Runs that take turns in two buffers write to their own."""
    one, other = runner.zeros("past", (ROWS, 2)), runner.zeros("past", (ROWS, 2))
    for _ in range(5):
        step(runner, one, 1)
    for _ in range(5):
        step(runner, other, 10)
        step(runner, one, 1)
    assert (first(one), first(other)) == (10, 50)


def check_that_memory_of_a_dropped_buffer_is_left_alone(runner: TensorRtRunner, device: Device) -> None:
    """Whoever gets it next, such as a buffer that begins a row later."""
    rows = device.zeros((ROWS + 1, 2), np.float32)
    before, after = rows[:ROWS], rows[1:]
    for _ in range(4):
        step(runner, before, 1)
    for _ in range(4):
        step(runner, after, 10)
    np.testing.assert_array_equal(rows.numpy()[:, 0], [4, 44, 44, 40])


def check_that_outputs_stay(runner: TensorRtRunner) -> None:
    """What a run has returned stays as it is while anybody holds it."""
    buffer = runner.zeros("past", (ROWS, 2))
    sums = [step(runner, buffer, 1) for _ in range(6)]
    assert [first(one) for one in sums] == [3, 6, 9, 12, 15, 18]


def test_a_run_that_comes_a_second_time_is_captured_and_then_replayed(
    runner: TensorRtRunner, cuda: StandInCuda
) -> None:
    buffer = runner.zeros("past", (ROWS, 2))
    counts, total = [], 0
    for value in (1, 2, 3, 4, 5):
        total += value
        assert first(step(runner, buffer, value)) == ROWS * total
        counts.append((cuda.calls["execute"], cuda.calls["launch"]))
    assert counts == [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3)]
    np.testing.assert_array_equal(buffer.numpy(), np.repeat(row(total), ROWS, axis=0))


def test_each_replay_writes_to_the_buffer_of_its_call(runner: TensorRtRunner, device: Device) -> None:
    check_that_buffers_are_apart(runner)
    check_that_memory_of_a_dropped_buffer_is_left_alone(runner, device)
    check_that_outputs_stay(runner)


class WithoutAddresses(Replays):
    """A design that is wrong: runs of equal shapes share a graph."""

    def _key(self, feeds: Any, written: Any) -> Any:
        return tuple((name, value.shape) for name, value in feeds.items()) if written else None


class WithFixedOutputs(CapturedRun):
    """A design that is wrong: the arrays that a replay writes are handed out."""

    def run(self, feeds: Any, written: Any) -> dict[str, DeviceArray]:
        return super().run(feeds, written) | {"sum": self._block.part(0, (1, 2), np.dtype(np.float32))}


@pytest.mark.parametrize("check", [check_that_buffers_are_apart, check_that_memory_of_a_dropped_buffer_is_left_alone])
def test_graphs_that_know_no_addresses_would_write_what_others_hold(
    runner: TensorRtRunner, device: Device, check: Callable[..., None]
) -> None:
    runner._replays = WithoutAddresses(runner._engine)
    arguments = (runner, device)[: check.__code__.co_argcount]
    with pytest.raises(AssertionError):
        check(*arguments)


def test_outputs_that_are_not_copied_would_change_while_they_are_held(
    runner: TensorRtRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gar_ros.engine.runtime.tensorrt.replays.CapturedRun", WithFixedOutputs)
    with pytest.raises(AssertionError):
        check_that_outputs_stay(runner)


def test_inputs_are_copied_only_when_they_change(runner: TensorRtRunner, cuda: StandInCuda) -> None:
    buffer = runner.zeros("past", (ROWS, 2))
    for _ in range(3):
        step(runner, buffer, 1)
    cuda.copied.clear()
    step(runner, buffer, 1)
    assert dict(cuda.copied) == {ACROSS: 8}  # the sum
    step(runner, buffer, 2)
    assert dict(cuda.copied) == {ACROSS: 16, UP: 8}
    assert first(buffer) == 6


def test_inputs_on_the_gpu_are_copied_there(runner: TensorRtRunner, device: Device, cuda: StandInCuda) -> None:
    buffer = runner.zeros("past", (ROWS, 2))
    for value in (1, device.upload(row(2)), device.upload(row(3)), 3, device.upload(row(4)), 3):
        last = step(runner, buffer, value)
    assert first(last) == ROWS * (1 + 2 + 3 + 3 + 4 + 3)
    assert cuda.calls["launch"] == 4


def test_other_shapes_have_a_graph_of_their_own(runner: TensorRtRunner, cuda: StandInCuda) -> None:
    short, long = runner.zeros("past", (2, 2)), runner.zeros("past", (4, 2))
    for _ in range(4):
        assert first(step(runner, short, 1)) * 2 == first(step(runner, long, 1))
    assert (cuda.calls["launch"], len(cuda.graphs)) == (4, 2)


def test_runs_that_write_over_nothing_are_not_captured(runner: TensorRtRunner, cuda: StandInCuda) -> None:
    buffer = runner.zeros("past", (ROWS, 2))
    for _ in range(4):
        runner.run({"past": buffer, "new": row(1)})
    assert (cuda.calls["execute"], cuda.calls["launch"]) == (4, 0)


def test_runs_with_large_inputs_are_not_captured(
    runner: TensorRtRunner, cuda: StandInCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gar_ros.engine.runtime.tensorrt.replays._SMALL_INPUTS", 7)
    buffer = runner.zeros("past", (ROWS, 2))
    for _ in range(4):
        step(runner, buffer, 1)
    assert (cuda.calls["execute"], cuda.calls["launch"]) == (4, 0)


def test_few_graphs_are_kept_and_they_keep_no_buffer(runner: TensorRtRunner, cuda: StandInCuda) -> None:
    buffers = [runner.zeros("past", (ROWS, 2)) for _ in range(KEPT + 2)]
    for _ in range(2):
        for buffer in buffers:
            step(runner, buffer, 1)
    assert len(cuda.graphs) == KEPT
    step(runner, buffers[-1], 1)
    assert cuda.calls["launch"] == 1
    used = cuda.used
    buffers.clear()
    del buffer
    gc.collect()
    assert cuda.used == used - (KEPT + 2) * ROWS * 8


def test_graphs_go_when_memory_is_full_and_on_close(runner: TensorRtRunner, device: Device, cuda: StandInCuda) -> None:
    buffer = runner.zeros("past", (ROWS, 2))
    used = cuda.used
    for _ in range(3):
        step(runner, buffer, 1)
    gc.collect()
    assert (len(cuda.graphs), cuda.used > used) == (1, True)
    cuda.limit = used + 80
    device.empty((80,), np.uint8)
    gc.collect()
    assert (len(cuda.graphs), cuda.used) == (0, used)
    for _ in range(3):
        step(runner, buffer, 1)
    assert (len(cuda.graphs), first(buffer)) == (1, 6)
    runner.close()
    assert len(cuda.graphs) == 0


def test_a_graph_is_not_replayed_when_the_scratch_memory_has_moved(
    runner: TensorRtRunner, scratch: Scratch, cuda: StandInCuda
) -> None:
    buffer = runner.zeros("past", (ROWS, 2))
    for _ in range(3):
        step(runner, buffer, 1)
    scratch.block(100_000)
    for _ in range(3):
        step(runner, buffer, 1)
    assert first(buffer) == 6
    assert (cuda.calls["launch"], len(cuda.graphs)) == (2, 1)


def test_memory_that_is_dropped_while_a_run_is_captured_goes_back_afterwards(
    runner: TensorRtRunner, device: Device, cuda: StandInCuda
) -> None:
    """By another thread, or by Python's collector: the stream can't take that meanwhile."""
    dropped = [device.empty((1000,), np.uint8)]
    cuda.during_capture = dropped.clear
    buffer = runner.zeros("past", (ROWS, 2))
    used = cuda.used
    for _ in range(3):
        step(runner, buffer, 1)
    assert cuda.calls["launch"] == 1
    assert cuda.used < used


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("who", ["TensorRT", "CUDA"])
def test_where_nothing_can_be_captured_runs_go_on_and_one_line_says_so(
    runner: TensorRtRunner, trt: StandInTensorRt, cuda: StandInCuda, caplog: pytest.LogCaptureFixture, who: str
) -> None:
    if who == "TensorRT":
        trt.capture_refusal = "operation not permitted when stream is capturing"
    else:
        cuda.during_capture = lambda: cuda.cudaStreamSynchronize(cuda.STREAM)
    buffers = [runner.zeros("past", (ROWS, 2)) for _ in range(2)]
    for _ in range(4):
        for buffer in buffers:
            step(runner, buffer, 1)
    assert [first(buffer) for buffer in buffers] == [4, 4]
    (line,) = told(caplog)
    assert line.startswith("decode.onnx runs without CUDA graphs, somewhat slower: ")
    assert (cuda.calls["launch"], len(cuda.graphs)) == (0, 0)


def test_a_gpu_that_is_lost_is_told_and_not_taken_for_a_failed_capture(
    runner: TensorRtRunner, cuda: StandInCuda
) -> None:
    buffer = runner.zeros("past", (ROWS, 2))
    for _ in range(3):
        step(runner, buffer, 1)
    cuda.sticky = cuda.cudaError_t.cudaErrorIllegalAddress
    with pytest.raises(GpuLostError):
        step(runner, buffer, 1)


def test_shapes_that_no_profile_takes_are_refused_as_ever(
    runner: TensorRtRunner, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = runner.zeros("past", (10, 2))
    for _ in range(3):
        with pytest.raises(GarError, match=r"expected past of \(1, 2\) to \(9, 2\), got \(10, 2\)"):
            step(runner, buffer, 1)
    assert told(caplog) == []
