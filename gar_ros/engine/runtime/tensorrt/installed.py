# SPDX-License-Identifier: Apache-2.0
"""What of TensorRT and CUDA is on this machine."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from gar_ros.engine.runtime.failures import first_line
from gar_ros.engine.runtime.tensorrt.cuda_calls import cuda_runtime, find_gpu
from gar_ros.errors import ErrorCode, GarError

FULL, RTX = "tensorrt", "tensorrt_rtx"
"""Python modules of the full TensorRT and of TensorRT for RTX."""

_OLDEST = (10, 3)
_INSTALL = (
    'on x86-64: pip install "tensorrt>=10.3" cuda-python; on Jetson: apt install nvidia-jetpack (TensorRT, CUDA) and '
    "pip install cuda-python of CUDA's version; see docs/tensorrt.md"
)
_ELSEWHERE = "it needs an NVIDIA GPU that `nvidia-smi` or `tegrastats` shows; see docs/tensorrt.md"


@dataclass(frozen=True)
class TensorRt:
    """A TensorRT module and what it builds for or runs on."""

    module: Any
    version: str  # "tensorrt 10.3.0"
    gpu: str  # as `find_gpu` says; of TensorRT for RTX the compute capability alone, "SM86"
    target: str = ""  # ahead of time: the compute capability to build for; empty: that of this machine's GPU


def find_tensorrt() -> TensorRt:
    """The module and the GPU of this machine. Raises GarError INVALID_REQUEST naming all that is missing."""
    missing = []
    module: Any = None
    cudart: Any = None
    gpu = ""
    try:
        module = _import_newest()
    except GarError as error:
        missing.append(error.message)
    try:
        cudart = cuda_runtime()
        gpu = find_gpu(cudart)
    except GarError as error:
        missing.append(error.message)
    if missing:
        advice = _INSTALL if module is None or cudart is None else _ELSEWHERE
        raise GarError(ErrorCode.INVALID_REQUEST, f"TensorRT can't be used here: {'; '.join(missing)}; {advice}")
    if module.__name__ == RTX:  # its engines depend on the compute capability alone, and may be built ahead of time
        gpu = gpu.split(", ")[-3]
    return TensorRt(module, f"{module.__name__} {module.__version__}", gpu)


def rtx_for(target: str) -> TensorRt:
    """TensorRT for RTX, which builds engines for other machines' GPUs; this one needs none. target: as "SM86".

    Raises GarError INVALID_REQUEST where it is not installed or doesn't know the target.
    """
    module = _import(RTX)
    if module is None:
        raise GarError(
            ErrorCode.INVALID_REQUEST, "building ahead of time needs TensorRT for RTX: pip install tensorrt-rtx"
        )
    known = sorted(name for name in dir(module.ComputeCapability) if name.startswith("SM"))
    if target not in known:
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"expected a compute capability out of {', '.join(known)}, got '{target}'"
        )
    return TensorRt(module, f"{RTX} {module.__version__}", target, target)


def _import_newest() -> Any:
    """The full TensorRT, else the one for RTX. Raises GarError INVALID_REQUEST."""
    try:
        module = _import(FULL)
        trouble = f"the Python module {FULL} is not installed"
    except GarError as error:
        module, trouble = None, error.message
    module = module or _import(RTX)
    if module is None:
        raise GarError(ErrorCode.INVALID_REQUEST, trouble)
    if module.__name__ == FULL and tuple(map(int, module.__version__.split(".")[:2])) < _OLDEST:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected TensorRT 10.3 or newer, got {module.__version__}")
    return module


def _import(name: str) -> Any:
    """The module, or None where it is not installed. Raises GarError INVALID_REQUEST where it is and can't be used."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in (None, name):
            return None
        reason = first_line(error)
    except Exception as error:  # noqa: BLE001 OSError for a library of CUDA, AttributeError for another NumPy ..
        reason = first_line(error)
    raise GarError(ErrorCode.INVALID_REQUEST, f"the Python module {name} is installed but does not work ({reason})")
