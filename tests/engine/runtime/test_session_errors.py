# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime raises costs one request: a typed error, and the next request is answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as native

from gar_ros.engine.checks import failures_are_typed
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION
from gar_ros.engine.runtime.make_room import MakeRoom
from gar_ros.engine.runtime.ort import OrtRunner, OrtRuntime
from gar_ros.engine.runtime.tensorrt.profiles import graph_profiles
from gar_ros.errors import ErrorCode, GarError, GpuLostError, OutOfMemoryError
from tests.engine.runtime.starved import starved

CLASSES = sorted(
    {kind for kind in vars(native).values() if isinstance(kind, type) and issubclass(kind, Exception)},
    key=lambda kind: kind.__name__,
)
OUT_OF_MEMORY = [
    MemoryError(),
    MemoryError("std::bad_alloc"),
    RuntimeError("std::bad_alloc"),
    native.RuntimeException("bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 25165824"),
    native.Fail("CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);"),
    native.EPFail("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"),
    native.Fail("TensorRT EP: [defaultAllocator.cpp::allocate::31] Cuda Runtime (out of memory)"),
]


class StandInSession:
    """Raises when it is run, until `error` is None; then it has no outputs."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def get_inputs(self) -> list[Any]:
        return []

    get_outputs = get_inputs

    def io_binding(self) -> StandInSession:
        return self

    def run_with_iobinding(self, binding: object) -> None:
        if self.error is not None:
            raise self.error


def failure(session: StandInSession, runner: OrtRunner) -> GarError:
    with pytest.raises(GarError) as caught:
        runner.run({})
    session.error = None
    session.get_outputs = list  # type: ignore[method-assign]
    return caught.value


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("text", ["", "reason\nwith a second line", "reason \x1b[31m"])
def test_every_class_is_a_typed_error_of_one_line(kind: type[Exception], text: str) -> None:
    assert len(CLASSES) > 8
    session = StandInSession(kind(text))
    error = failure(session, OrtRunner(session, "cpu", "decoder.onnx"))
    assert error.code is ErrorCode.INTERNAL_ERROR
    assert error.message.startswith("ONNX Runtime could not run decoder.onnx: ")
    assert error.message.isprintable()


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_too_little_memory_says_what_to_do(error: Exception) -> None:
    session = StandInSession(error)
    told = failure(session, OrtRunner(session, "cpu"))
    assert "out of memory; use fewer tiles (request.max_tiles)" in told.message
    assert isinstance(told, OutOfMemoryError)


class Cache:
    """Can be told to forget."""

    def __init__(self, session: StandInSession, helps: bool) -> None:
        self.session, self.helps, self.asked = session, helps, 0

    def forget(self) -> None:
        self.asked += 1
        if self.helps:
            self.session.error = None


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=str)
def test_a_full_gpu_is_tried_once_more_after_caches_forgot(error: Exception) -> None:
    session, make_room = StandInSession(error), MakeRoom()
    cache = Cache(session, helps=True)
    make_room.ask(cache.forget)
    assert OrtRunner(session, "cuda", make_room=make_room).run({}) == {}
    assert cache.asked == 1


def test_a_gpu_that_stays_full_is_a_typed_error_after_the_second_try() -> None:
    session, make_room = StandInSession(OUT_OF_MEMORY[0]), MakeRoom()
    cache = Cache(session, helps=False)
    make_room.ask(cache.forget)
    with pytest.raises(OutOfMemoryError):
        OrtRunner(session, "cuda", make_room=make_room).run({})
    assert cache.asked == 1


def test_nothing_is_tried_again_after_another_failure() -> None:
    session, make_room = StandInSession(native.Fail("a node could not be run")), MakeRoom()
    cache = Cache(session, helps=True)
    make_room.ask(cache.forget)
    with pytest.raises(GarError, match="a node could not be run"):
        OrtRunner(session, "cuda", make_room=make_room).run({})
    assert cache.asked == 0


SAID_OF_A_LOST_GPU = [
    "CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; expr=cudaStreamSynchronize()",
    "CUDA error cudaErrorLaunchFailure:unspecified launch failure",
    "Non-zero status code returned while running MatMul node. CUDA failure 719: unspecified launch failure",
]


@pytest.mark.parametrize("text", SAID_OF_A_LOST_GPU)
def test_a_lost_gpu_is_known_by_cudas_words(text: str) -> None:
    session = StandInSession(native.Fail(text))
    with pytest.raises(GpuLostError, match="this process can't use the GPU any more") as caught:
        OrtRunner(session, "cuda", "decoder.onnx").run({})
    assert caught.value.code is ErrorCode.INTERNAL_ERROR


class UnprintableError(Exception):
    """As libraries may raise it."""

    def __str__(self) -> str:
        raise ValueError("no text")


def test_what_fails_beside_the_sessions_is_typed_as_well() -> None:
    """Such as the copy of an output to the host."""
    for error, kind in (
        (RuntimeError(SAID_OF_A_LOST_GPU[0]), GpuLostError),
        (MemoryError(), OutOfMemoryError),
        (KeyError("odd"), KeyError),
        (UnprintableError(), UnprintableError),
        (GarError(ErrorCode.CANCELLED, "out of memory"), GarError),
    ):
        with pytest.raises(kind) as caught, failures_are_typed():
            raise error
        assert type(caught.value) is kind


def test_a_session_that_failed_runs_again() -> None:
    model = ModelDir.open(default_model_dir())
    runner = OrtRuntime("cpu", 1).load(model.graph(REPLAY))
    weights = np.ones((1, 8, 8), np.float32) / 8
    good: dict[str, NDArray[Any]] = {"tile_features": np.ones((1, 64, 192), np.float32), "wy": weights, "wx": weights}
    with pytest.raises(GarError, match=r"ONNX Runtime could not run replay\.onnx: "):
        runner.run(good | {"wy": np.ones((1, 8, 7), np.float32)})
    with pytest.raises(GarError, match="could not run replay"):
        runner.run(good | {"unknown": weights})
    np.testing.assert_allclose(runner.run(good)["replay"].numpy(), 1.0, rtol=1e-5)


def test_interrupts_are_no_session_errors() -> None:
    session = StandInSession(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        OrtRunner(session, "cpu").run({})


@pytest.mark.parametrize("error", [*(kind("") for kind in CLASSES), MemoryError(), RuntimeError("std::bad_alloc")])
def test_what_a_session_raises_while_it_is_made_is_a_bad_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(GarError, match=r"can't be loaded on cpu: \S") as caught:
        OrtRuntime("cpu", 1).load(tmp_path / "x.onnx")
    assert caught.value.code is ErrorCode.BAD_MODEL


@pytest.mark.parametrize(("graph", "other"), [(VISION, REPLAY), (REPLAY, DECODER), (DECODER, VISION)])
def test_a_graph_that_is_not_the_manifests_is_a_bad_model(graph: str, other: str) -> None:
    model = ModelDir.open(default_model_dir())
    profiles = graph_profiles(model.manifest)
    OrtRuntime("cpu", 1, profiles=profiles).load(model.graph(graph))
    with pytest.raises(GarError, match="is not the graph that its manifest describes: expected") as caught:
        OrtRuntime("cpu", 1, profiles={graph: profiles[other]}).load(model.graph(graph))
    assert caught.value.code is ErrorCode.BAD_MODEL


def test_a_real_process_without_memory_goes_on_when_it_has_some(model_dir: Path) -> None:
    ended = starved(model_dir, "cpu")
    refused, answered, again = ended.stdout.splitlines()
    assert refused.startswith("INTERNAL_ERROR ")
    assert "out of memory; use fewer tiles" in refused
    assert (answered, again) == ("1", "1")
    assert "Traceback" not in ended.stderr
