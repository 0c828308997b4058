# SPDX-License-Identifier: Apache-2.0
"""What the runner calls exists in the real modules: the stand-in offers nothing that they don't.

tensorrt_rtx has the Python API of the full TensorRT, which can't be installed everywhere.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import pytest
import tensorrt_rtx as trt
from cuda.bindings import driver
from cuda.bindings import runtime as cudart

from gar_ros.engine.runtime.failures import FULL, LOST
from gar_ros.engine.runtime.tensorrt.cuda_calls import find_gpu
from gar_ros.engine.runtime.tensorrt.device import Device
from gar_ros.engine.runtime.tensorrt.execution import _dtype
from gar_ros.errors import GarError
from tests.engine.runtime.tensorrt import stand_in_rtx, stand_in_tensorrt
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda

CLASSES = {
    stand_in_tensorrt.Builder: trt.Builder,
    stand_in_tensorrt.Network: trt.INetworkDefinition,
    stand_in_tensorrt.Parser: trt.OnnxParser,
    stand_in_tensorrt.Profile: trt.IOptimizationProfile,
    stand_in_tensorrt.Config: trt.IBuilderConfig,
    stand_in_tensorrt.Runtime: trt.Runtime,
    stand_in_tensorrt.Engine: trt.ICudaEngine,
    stand_in_tensorrt.Context: trt.IExecutionContext,
    stand_in_rtx.RtxEngine: trt.ICudaEngine,
    stand_in_rtx.RtxContext: trt.IExecutionContext,
    stand_in_rtx.RuntimeConfig: trt.IRuntimeConfig,
    stand_in_rtx.RuntimeCache: trt.IRuntimeCache,
}
OWN = {
    stand_in_tensorrt.Network: {"model", "parsed"},
    stand_in_tensorrt.Profile: set(),
    stand_in_tensorrt.Config: set(),
    stand_in_tensorrt.Engine: set(),
}
MEMBERS = [
    (fake, real, name)
    for fake, real in CLASSES.items()
    for name in vars(fake)
    if not name.startswith("_") and name not in OWN.get(fake, set())
]


def parameters(function: Callable[..., Any]) -> list[list[str]]:
    """Parameter names of each overload of a pybind11 function, from its documentation."""
    heads = re.findall(rf"^(?:\d+\. )?{function.__name__}\((.*)\) -> ", function.__doc__ or "", re.MULTILINE)
    names = [re.findall(r"(?:^|, )(\w+):", re.sub(r"\[[^\]]*\]", "", head)) for head in heads]
    return [[name for name in overload if name != "self"] for overload in names]


@pytest.mark.parametrize(("fake", "real", "name"), MEMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_the_stand_ins_methods_are_tensorrts(fake: type, real: type, name: str) -> None:
    member = getattr(real, name)
    if callable(vars(fake)[name]):
        taken = [p for p in inspect.signature(vars(fake)[name]).parameters if p != "self"]
        assert any(overload[: len(taken)] == taken for overload in parameters(member)), parameters(member)
    else:
        assert isinstance(member, property)


ENUMS = ("DataType", "ExecutionContextAllocationStrategy", "MemoryPoolType", "NetworkDefinitionCreationFlag")


@pytest.mark.parametrize("name", [*ENUMS, "TensorIOMode"])
def test_the_stand_ins_constants_are_tensorrts(name: str) -> None:
    for constant in getattr(stand_in_tensorrt.StandInTensorRt, name):
        assert hasattr(getattr(trt, name), constant.name)


def test_the_full_tensorrt_is_known_by_what_it_has_not() -> None:
    """It has no kernels that are compiled at run time, and so neither their cache nor a strategy for them."""
    for name in ("IRuntimeCache", "DynamicShapesKernelSpecializationStrategy"):
        assert hasattr(trt, name)
        assert hasattr(stand_in_rtx.StandInRtx, name)
        assert not hasattr(stand_in_tensorrt.StandInTensorRt, name)
    strategies = stand_in_rtx.StandInRtx.DynamicShapesKernelSpecializationStrategy
    assert {one.name for one in strategies} == set(trt.DynamicShapesKernelSpecializationStrategy.__members__)
    assert isinstance(trt.IRuntimeConfig.dynamic_shapes_kernel_specialization_strategy, property)
    assert trt.BuilderFlag.REQUIRE_USER_ALLOCATION in trt.BuilderFlag.__members__.values()


def test_types_have_the_names_that_the_runner_knows() -> None:
    kinds = {"float16": np.float16, "float32": np.float32, "int64": np.int64}
    assert {name: _dtype(getattr(trt, name), "a graph") for name in kinds} == kinds
    with pytest.raises(GarError, match=r"a graph: expected inputs and outputs of .*, got BF16"):
        _dtype(trt.bfloat16, "a graph")


def test_loggers_and_monitors_can_be_derived() -> None:
    levels = [getattr(trt.ILogger, name) for name in ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE")]
    assert len(set(levels)) == 5
    assert parameters(trt.IProgressMonitor.step_complete) == [["phase_name", "step"]]
    assert parameters(trt.IProgressMonitor.phase_start) == [["phase_name", "parent_phase", "num_steps"]]
    assert parameters(trt.ILogger.log) == [["severity", "msg"]]


FUNCTIONS = [name for name in vars(StandInCuda) if name.startswith("cuda") and name[4].isupper()]


@pytest.mark.parametrize("name", [name for name in FUNCTIONS if callable(vars(StandInCuda)[name])])
def test_the_stand_ins_functions_are_cudas(name: str) -> None:
    fake = getattr(StandInCuda, name)
    real = getattr(cudart, name)
    if inspect.isclass(fake):
        assert issubclass(fake, Enum)
        assert all(hasattr(real, constant) for constant in fake.__members__)
        return
    (head,) = re.findall(rf"^{name}\((.*)\)", real.__doc__)[:1]
    names = [re.split(r"[ :]", p.strip())[-1 if ":" not in p else 0] for p in head.split(",")] if head else []
    assert [p for p in inspect.signature(fake).parameters if p != "self"] == names


def test_status_and_numbers_are_cudas() -> None:
    assert cudart.cudaError_t.cudaSuccess == 0
    assert all(hasattr(cudart.cudaError_t, status.name) for status in StandInCuda.cudaError_t)
    assert inspect.isclass(cudart.cudaDeviceProp)
    fields = ("name", "major", "minor", "multiProcessorCount", "totalGlobalMem")
    assert all(hasattr(cudart.cudaDeviceProp, name) for name in fields)
    assert StandInCuda.cudaHostAllocDefault == cudart.cudaHostAllocDefault
    assert StandInCuda.cudaEventDisableTiming == cudart.cudaEventDisableTiming


def test_the_errors_after_which_a_gpu_is_lost_are_those_that_cuda_documents() -> None:
    documented = {
        int(error): str(cudart.cudaGetErrorString(error)[1], "ascii").lower()
        for error in cudart.cudaError_t
        if "process must be terminated and relaunched" in " ".join((error.__doc__ or "").split())
    }
    assert documented == LOST
    assert cudart.cudaError_t.cudaErrorMemoryAllocation == FULL


def test_without_a_gpu_the_real_runtime_is_told_plainly() -> None:
    status, count = cudart.cudaGetDeviceCount()
    if status == cudart.cudaError_t.cudaSuccess and count:
        pytest.skip("there is a GPU here")
    with pytest.raises(GarError, match=r"CUDA finds no GPU \(.+\)"):
        find_gpu(cudart)
    with pytest.raises(GarError, match="CUDA: cudaStreamCreate failed: "):
        Device(cudart)


CALLS: dict[str, tuple[Any, ...]] = {
    "cudaMallocAsync": (64, 0),
    "cudaMalloc": (64,),
    "cudaMemcpyAsync": (8, 16, 4, cudart.cudaMemcpyKind.cudaMemcpyHostToDevice, 0),
    "cudaMemcpy2DAsync": (8, 8, 16, 8, 4, 2, cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice, 0),
    "cudaMemsetAsync": (8, 0, 4, 0),
    "cudaStreamSynchronize": (0,),
    "cudaDeviceGetAttribute": (cudart.cudaDeviceAttr.cudaDevAttrMemoryPoolsSupported, 0),
    "cudaDeviceGetDefaultMemPool": (0,),
    "cudaGetDeviceProperties": (0,),
    "cudaMemPoolSetAttribute": (
        cudart.cudaMemPool_t(),
        cudart.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold,
        driver.cuuint64_t(2**64 - 1),
    ),
    "cudaMemPoolTrimTo": (cudart.cudaMemPool_t(), 0),
    "cudaHostAlloc": (64, cudart.cudaHostAllocDefault),
    "cudaFreeHost": (64,),
    "cudaEventCreateWithFlags": (cudart.cudaEventDisableTiming,),
    "cudaEventRecord": (cudart.cudaEvent_t(), cudart.cudaStream_t()),
    "cudaEventQuery": (cudart.cudaEvent_t(),),
    "cudaEventSynchronize": (cudart.cudaEvent_t(),),
    "cudaEventDestroy": (cudart.cudaEvent_t(),),
    "cudaStreamBeginCapture": (0, cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal),
    "cudaStreamEndCapture": (0,),
    "cudaGraphInstantiate": (cudart.cudaGraph_t(), 0),
    "cudaGraphLaunch": (cudart.cudaGraphExec_t(), 0),
    "cudaGraphDestroy": (cudart.cudaGraph_t(),),
    "cudaGraphExecDestroy": (cudart.cudaGraphExec_t(),),
    "cudaStreamDestroy": (cudart.cudaStream_t(),),
    "cudaFreeAsync": (64, 0),
    "cudaFree": (0,),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_real_functions_take_our_arguments(name: str) -> None:
    """They convert all arguments before they ask the driver, which is not there: a status, not a TypeError."""
    status, count = cudart.cudaGetDeviceCount()
    if status == cudart.cudaError_t.cudaSuccess and count:
        pytest.skip("there is a GPU here, these addresses are made up")
    status, *results = getattr(cudart, name)(*CALLS[name])
    assert isinstance(status, cudart.cudaError_t)
    assert len(results) == (1 if re.search("Malloc|HostAlloc|Get|Create|EndCapture|Instantiate", name) else 0)
