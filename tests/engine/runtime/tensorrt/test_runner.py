# SPDX-License-Identifier: Apache-2.0
"""The runner on the stand-in: profiles, shapes, memory, and no copy that isn't needed."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gar_ros.engine.runtime.tensorrt.builder import DEFAULT_OPTIONS, build_engine
from gar_ros.engine.runtime.tensorrt.device import Device
from gar_ros.engine.runtime.tensorrt.execution import LoadedEngine
from gar_ros.engine.runtime.tensorrt.installed import TensorRt
from gar_ros.engine.runtime.tensorrt.profiles import Profile, Range
from gar_ros.engine.runtime.tensorrt.run_log import make_run_log
from gar_ros.engine.runtime.tensorrt.runner import TensorRtRunner
from gar_ros.engine.runtime.tensorrt.scratch import Scratch
from gar_ros.errors import ErrorCode, GarError
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt

WIDE = {"past": Range((0, 2), (2, 2), (8, 2)), "new": Range((1, 2), (4, 2), (4, 2))}
ONE = {"past": Range((1, 2), (2, 2), (8, 2)), "new": Range((1, 2), (1, 2), (1, 2))}
EMPTY = np.zeros((0, 2), np.float32)


@pytest.fixture
def load(
    trt: StandInTensorRt, tensorrt: TensorRt, graph: Path, device: Device, scratch: Scratch
) -> Callable[..., TensorRtRunner]:
    """`load(*profiles)` builds the graph, or another one, with these and gives its runner."""

    def build_and_load(*profiles: Profile, graph: Path = graph) -> TensorRtRunner:
        content = build_engine(tensorrt, graph, profiles, DEFAULT_OPTIONS, graph.with_suffix(".log"), print)
        log = make_run_log(trt)
        engine = trt.Runtime(log).deserialize_cuda_engine(content)
        return TensorRtRunner(LoadedEngine(trt, engine, device, scratch, "graph.onnx", log))

    return build_and_load


@pytest.fixture
def runner(load: Callable[..., TensorRtRunner]) -> TensorRtRunner:
    return load(WIDE, ONE)


def rows(*values: float) -> np.ndarray:
    return np.array([[value, -value] for value in values], np.float32)


def test_outputs_are_the_graphs(runner: TensorRtRunner) -> None:
    outputs = runner.run({"past": rows(1), "new": rows(2, 3)})
    np.testing.assert_array_equal(outputs["total"].numpy(), rows(1, 4, 6))
    np.testing.assert_array_equal(outputs["sum"].numpy(), rows(11))


def test_host_arrays_are_cast_to_the_graphs_types(runner: TensorRtRunner) -> None:
    outputs = runner.run({"past": EMPTY.astype(np.float64), "new": np.array([[2, 3]])})
    np.testing.assert_array_equal(outputs["total"].numpy(), [[4, 6]])


def test_one_token_has_its_own_profile_and_switches_are_rare(runner: TensorRtRunner, trt: StandInTensorRt) -> None:
    total: Any = EMPTY
    for new in (rows(1, 2), rows(3), rows(4), rows(5), rows(6, 7)):
        total = runner.run({"past": total, "new": new})["total"]
    assert trt.switches == [1, 0]
    np.testing.assert_array_equal(total.numpy(), rows(2, 4, 6, 8, 10, 12, 14))


def test_one_token_without_a_past_goes_to_the_profile_that_allows_it(
    runner: TensorRtRunner, trt: StandInTensorRt
) -> None:
    runner.run({"past": EMPTY, "new": rows(1)})
    assert trt.switches == []


def test_outputs_are_fed_back_without_a_copy(runner: TensorRtRunner, cuda: StandInCuda) -> None:
    past: Any = runner.run({"past": EMPTY, "new": rows(1, 2)})["total"]
    cuda.copies.clear()
    cuda.calls.clear()
    for _ in range(3):
        past = runner.run({"past": past, "new": rows(1)})["total"]
    assert dict(cuda.copies) == {"cudaMemcpyHostToDevice": 3}  # the new rows
    assert dict(cuda.calls) == {"execute": 3}  # and nobody waited for the GPU
    past.numpy()
    assert cuda.copies["cudaMemcpyDeviceToHost"] == 1


def test_an_input_is_never_changed(runner: TensorRtRunner) -> None:
    past = runner.run({"past": EMPTY, "new": rows(1, 2)})["total"]
    first = runner.run({"past": past, "new": rows(3)})["total"]
    second = runner.run({"past": past, "new": rows(4)})["total"]
    np.testing.assert_array_equal(first.numpy(), rows(2, 4, 6))
    np.testing.assert_array_equal(second.numpy(), rows(2, 4, 8))
    np.testing.assert_array_equal(past.numpy(), rows(2, 4))


def test_memory_is_given_back_when_results_are_dropped(runner: TensorRtRunner, cuda: StandInCuda) -> None:
    scratch = cuda.used
    past: Any = EMPTY
    for _ in range(4):
        past = runner.run({"past": past, "new": rows(1)})["total"]
    gc.collect()
    assert cuda.used == scratch + past.nbytes
    del past
    gc.collect()
    assert cuda.used == scratch


def test_runners_work_in_one_block_as_large_as_the_largest_need(
    load: Callable[..., TensorRtRunner], cuda: StandInCuda
) -> None:
    small = load({"past": Range((0, 2), (1, 2), (1, 2)), "new": Range((1, 2), (2, 2), (2, 2))})
    before = small.run({"past": EMPTY, "new": rows(1, 2)})["total"]
    assert cuda.used == 24 + before.nbytes  # of the stand-in's engines: as much as the largest inputs
    large = load(WIDE)
    assert cuda.used == 96 + before.nbytes
    results = [large.run({"past": before, "new": rows(3)}), small.run({"past": before[:1], "new": rows(4)})]
    np.testing.assert_array_equal(results[0]["total"].numpy(), rows(2, 4, 6))
    np.testing.assert_array_equal(results[1]["total"].numpy(), rows(2, 8))


def test_outputs_can_be_written_over_inputs(
    load: Callable[..., TensorRtRunner], in_place_graph: Path, cuda: StandInCuda
) -> None:
    shapes = Range((1, 2), (3, 2), (3, 2))
    runner = load({"past": shapes, "new": shapes}, graph=in_place_graph)
    buffer = runner.zeros("past", (3, 2))
    used = cuda.used
    outputs = runner.run_in_place({"past": buffer, "new": rows(1, 2, 3)}, {"present": "past"})
    assert outputs["present"] is buffer
    assert cuda.used == used
    np.testing.assert_array_equal(buffer.numpy(), rows(1, 2, 3))
    copy = runner.zeros("past", (2, 2))
    runner.copy_positions(buffer, copy, 1)
    np.testing.assert_array_equal(copy.numpy(), rows(1, 0))


def test_an_output_of_another_shape_is_not_written_over_an_input(runner: TensorRtRunner) -> None:
    past = runner.zeros("past", (2, 2))
    with pytest.raises(GarError, match=r"can't write total, \(3, 2\), over an input of \(2, 2\)"):
        runner.run_in_place({"past": past, "new": rows(1)}, {"total": "past"})


def test_an_engine_that_finds_no_room_for_scratch_is_not_loaded(
    load: Callable[..., TensorRtRunner], cuda: StandInCuda
) -> None:
    cuda.limit = 95
    with pytest.raises(GarError, match="cudaMallocAsync failed: out of memory"):
        load(WIDE)


@pytest.mark.parametrize(
    ("past", "new", "expected"),
    [
        (9, 1, r"expected past of \(0, 2\) to \(8, 2\) or \(1, 2\) to \(8, 2\), got \(9, 2\)"),
        (1, 5, r"expected new of \(1, 2\) to \(4, 2\) or \(1, 2\) to \(1, 2\), got \(5, 2\)"),
    ],
)
def test_shapes_beyond_all_profiles_are_refused_by_name(
    runner: TensorRtRunner, cuda: StandInCuda, past: int, new: int, expected: str
) -> None:
    with pytest.raises(GarError, match=expected) as caught:
        runner.run({"past": rows(*range(past)), "new": rows(*range(new))})
    assert caught.value.code == ErrorCode.INVALID_REQUEST
    assert cuda.calls["execute"] == 0


def test_missing_and_unknown_inputs_are_refused(runner: TensorRtRunner) -> None:
    for feeds in ({"past": EMPTY}, {"past": EMPTY, "new": rows(1), "old": rows(1)}):
        with pytest.raises(GarError, match=r"expected \['new', 'past'\], got"):
            runner.run(feeds)


def test_device_arrays_of_another_type_are_refused(runner: TensorRtRunner, device: Device) -> None:
    with pytest.raises(GarError, match="expected new of float32 on the GPU, got float16"):
        runner.run({"past": EMPTY, "new": device.upload(rows(1).astype(np.float16))})
