# SPDX-License-Identifier: Apache-2.0
"""What is said where TensorRT or the GPU is missing."""

from __future__ import annotations

import importlib
import sys

import pytest

from gar_ros.engine.runtime.tensorrt.installed import find_tensorrt, rtx_for
from gar_ros.errors import ErrorCode, GarError
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import StandInTensorRt


def modules(monkeypatch: pytest.MonkeyPatch, **found: object) -> None:
    """What importing these gives: a stand-in or, where None, ImportError."""
    for name in ("tensorrt", "tensorrt_rtx"):
        monkeypatch.setitem(sys.modules, name, found.get(name))
    cuda = found.get("cuda")
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cuda)


def test_module_version_and_gpu_are_found(
    monkeypatch: pytest.MonkeyPatch, trt: StandInTensorRt, cuda: StandInCuda
) -> None:
    modules(monkeypatch, tensorrt=trt, cuda=cuda)
    found = find_tensorrt()
    assert (found.module, found.version, found.gpu) == (
        trt,
        "tensorrt 10.3.0",
        "Stand-in, SM87, 16 multiprocessors, 64 GiB",
    )


def test_rtx_serves_where_the_full_one_is_missing(
    monkeypatch: pytest.MonkeyPatch, trt: StandInTensorRt, cuda: StandInCuda
) -> None:
    rtx = StandInTensorRt(cuda)
    rtx.__name__, rtx.__version__ = "tensorrt_rtx", "1.7.1"
    modules(monkeypatch, tensorrt_rtx=rtx, cuda=cuda)
    assert find_tensorrt().version == "tensorrt_rtx 1.7.1"
    modules(monkeypatch, tensorrt=trt, tensorrt_rtx=rtx, cuda=cuda)
    assert find_tensorrt().version == "tensorrt 10.3.0"


def test_engines_of_rtx_built_ahead_are_found_on_their_gpu(monkeypatch: pytest.MonkeyPatch, cuda: StandInCuda) -> None:
    """An engine for one named target has the key that the machine with that GPU looks for."""
    rtx = StandInTensorRt(cuda)
    rtx.__name__ = "tensorrt_rtx"
    modules(monkeypatch, tensorrt_rtx=rtx, cuda=cuda)
    assert find_tensorrt().gpu == "SM87"


def test_all_that_is_missing_is_named_at_once_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    modules(monkeypatch)
    with pytest.raises(GarError) as caught:
        find_tensorrt()
    assert caught.value.code == ErrorCode.INVALID_REQUEST
    for part in (
        "module tensorrt is not installed",
        "cuda-python is not installed",
        "x86-64: pip install",
        "on Jetson:",
    ):
        assert part in caught.value.message


BROKEN = [
    OSError("libcudart.so.12: cannot open shared object file"),
    ImportError("libnvinfer.so.10: cannot open shared object file"),
    ModuleNotFoundError("No module named 'tensorrt_libs'", name="tensorrt_libs"),
    AttributeError("module 'numpy' has no attribute 'bool'"),
    RuntimeError("CUDA driver is too old"),
]
"""What importing TensorRT raises where it is installed but can't be used."""


@pytest.fixture
def broken_tensorrt(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    load = importlib.import_module

    def import_module(name: str) -> object:
        if name == "tensorrt":
            raise request.param
        return load(name)

    monkeypatch.setattr(importlib, "import_module", import_module)


@pytest.mark.parametrize("broken_tensorrt", BROKEN, ids=repr, indirect=True)
def test_a_tensorrt_that_cannot_be_imported_is_told_in_its_words(
    monkeypatch: pytest.MonkeyPatch, cuda: StandInCuda, broken_tensorrt: None
) -> None:
    modules(monkeypatch, cuda=cuda)
    with pytest.raises(
        GarError, match=r"the Python module tensorrt is installed but does not work \(.+\); on x86"
    ) as caught:
        find_tensorrt()
    assert caught.value.code == ErrorCode.INVALID_REQUEST


@pytest.mark.parametrize("broken_tensorrt", BROKEN[:1], indirect=True)
def test_rtx_serves_where_the_full_one_is_broken(
    monkeypatch: pytest.MonkeyPatch, cuda: StandInCuda, broken_tensorrt: None
) -> None:
    rtx = StandInTensorRt(cuda)
    rtx.__name__ = "tensorrt_rtx"
    modules(monkeypatch, tensorrt_rtx=rtx, cuda=cuda)
    assert find_tensorrt().module is rtx


def test_a_machine_without_gpu_is_told_so(monkeypatch: pytest.MonkeyPatch, trt: StandInTensorRt) -> None:
    modules(monkeypatch, tensorrt=trt, cuda=StandInCuda(gpus=0))
    with pytest.raises(GarError, match="CUDA finds no GPU") as caught:
        find_tensorrt()
    assert "install" not in caught.value.message
    assert "needs an NVIDIA GPU" in caught.value.message


def test_an_old_tensorrt_is_refused(monkeypatch: pytest.MonkeyPatch, trt: StandInTensorRt, cuda: StandInCuda) -> None:
    trt.__version__ = "8.6.1"
    modules(monkeypatch, tensorrt=trt, cuda=cuda)
    with pytest.raises(GarError, match=r"expected TensorRT 10\.3 or newer, got 8\.6\.1"):
        find_tensorrt()


def test_building_ahead_needs_rtx(monkeypatch: pytest.MonkeyPatch, trt: StandInTensorRt) -> None:
    modules(monkeypatch, tensorrt=trt)
    with pytest.raises(GarError, match="pip install tensorrt-rtx"):
        rtx_for("SM86")
