"""What of TensorRT and CUDA is on this machine."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from gar_ros.engine.tensorrt.device import cuda_runtime, find_gpu
from gar_ros.errors import ErrorCode, GarError

FULL, RTX = "tensorrt", "tensorrt_rtx"
"""Python modules of the full TensorRT and of TensorRT for RTX."""

_OLDEST = (10, 3)
_INSTALL = (
    'on x86-64: pip install "tensorrt>=10.3" cuda-python; on Jetson: apt install nvidia-jetpack (TensorRT, CUDA) and '
    "pip install cuda-python of CUDA's version; see docs/tensorrt.md"
)


@dataclass(frozen=True)
class TensorRt:
    """A TensorRT module and what it builds for or runs on."""

    module: Any
    version: str  # "tensorrt 10.3.0"
    gpu: str  # "NVIDIA Orin, SM87", or the targets "SM86+SM89"
    targets: tuple[str, ...] = ()  # ahead of time: names of compute capabilities; empty: the GPU of this machine


def find_tensorrt() -> TensorRt:
    """The module and the GPU of this machine. Raises GarError INVALID_REQUEST naming all that is missing."""
    missing = []
    module: Any = None
    try:
        module = _import_newest()
    except GarError as error:
        missing.append(error.message)
    gpu = ""
    try:
        gpu = find_gpu(cuda_runtime())
    except GarError as error:
        missing.append(error.message)
    if missing:
        raise GarError(ErrorCode.INVALID_REQUEST, f"TensorRT can't be used here: {'; '.join(missing)}. {_INSTALL}")
    if module.__name__ == RTX:  # its engines depend on the compute capability alone, and may be built ahead of time
        gpu = gpu.rpartition(", ")[2]
    return TensorRt(module, f"{module.__name__} {module.__version__}", gpu)


def rtx_for(targets: tuple[str, ...]) -> TensorRt:
    """TensorRT for RTX, which builds engines for other machines' GPUs; this one needs none. targets: as "SM86".

    Raises GarError INVALID_REQUEST where it is not installed or doesn't know a target.
    """
    module = _import(RTX)
    if module is None:
        raise GarError(
            ErrorCode.INVALID_REQUEST, "building ahead of time needs TensorRT for RTX: pip install tensorrt-rtx"
        )
    known = sorted(name for name in dir(module.ComputeCapability) if name.startswith("SM"))
    if not targets or not set(targets) <= set(known):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected compute capabilities out of {', '.join(known)}, got '{','.join(targets)}'",
        )
    ordered = tuple(sorted(set(targets)))
    return TensorRt(module, f"{RTX} {module.__version__}", "+".join(ordered), ordered)


def _import_newest() -> Any:
    """The full TensorRT, else the one for RTX."""
    module = _import(FULL) or _import(RTX)
    if module is None:
        raise GarError(ErrorCode.INVALID_REQUEST, f"the Python module {FULL} is not installed")
    if module.__name__ == FULL and tuple(map(int, module.__version__.split(".")[:2])) < _OLDEST:
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected TensorRT 10.3 or newer, got {module.__version__}")
    return module


def _import(name: str) -> Any:
    """The module, or None where it is not installed or lacks a library."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
