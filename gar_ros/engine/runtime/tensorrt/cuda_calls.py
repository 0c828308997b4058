# SPDX-License-Identifier: Apache-2.0
"""Calls of CUDA's runtime, through the package cuda-python."""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

from gar_ros.engine.runtime.failures import failure, first_line
from gar_ros.errors import ErrorCode, GarError

_CUDA = "cuda.bindings.runtime"
_NO_DRIVER = "NVIDIA's driver, libcuda.so.1, is not found"


def cuda_runtime() -> Any:
    """CUDA's runtime from the package cuda-python. Raises GarError INVALID_REQUEST where it can't be imported."""
    try:
        return importlib.import_module(_CUDA)
    except Exception as error:  # RuntimeError where it finds no CUDA library, and whatever else its versions raise
        missing = isinstance(error, ModuleNotFoundError)
        message = f"the Python package cuda-python {'is not installed' if missing else 'does not work'}"
        message += f" ({first_line(error)})"
        if not _has_driver():
            message += f", and there is no GPU ({_NO_DRIVER})"
        raise GarError(ErrorCode.INVALID_REQUEST, message) from error


def _has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def find_gpu(cudart: Any) -> str:
    """The first GPU that CUDA shows, as "NVIDIA Orin, SM87, 16 multiprocessors, 64 GiB".

    The name alone is not enough: that of all Orins is the same. Memory is rounded up to 4 GiB, since what the system
    keeps for itself differs a little from boot to boot. Raises GarError INVALID_REQUEST where there is no GPU.
    """
    try:
        (count,) = checked(cudart, "cudaGetDeviceCount")
        reason = "none"
    except GarError as error:
        count, reason = 0, error.message
    if count < 1:
        if not _has_driver():  # CUDA calls that an old driver, and cuda-python before 12.9 raises
            reason = _NO_DRIVER
        raise GarError(ErrorCode.INVALID_REQUEST, f"CUDA finds no GPU ({reason})")
    (properties,) = checked(cudart, "cudaGetDeviceProperties", 0)
    name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
    memory = -(-int(properties.totalGlobalMem) // (4 << 30)) * 4
    capability = f"SM{properties.major}{properties.minor}"
    return f"{name}, {capability}, {properties.multiProcessorCount} multiprocessors, {memory} GiB"


def checked(cudart: Any, function: str, *arguments: Any) -> tuple[Any, ...]:
    """Calls a function of the runtime; what it returns after its status. Raises what `failure` makes of another one."""
    what = f"CUDA: {function} failed"
    try:
        status, *results = getattr(cudart, function)(*arguments)
    except (RuntimeError, AttributeError) as error:  # cuda-python before 12.9 raises where the driver lacks something
        raise failure(what, first_line(error)) from error
    if status != cudart.cudaError_t.cudaSuccess:
        raise failure(what, _reason(cudart, status), int(status))
    return tuple(results)


def _reason(cudart: Any, status: Any) -> str:
    try:
        _, text = cudart.cudaGetErrorString(status)
    except RuntimeError:
        return str(status)
    return text.decode() if isinstance(text, bytes) else str(text)
