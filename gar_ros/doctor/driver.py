# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's driver, asked through its C libraries: no package is needed, and no memory of the GPU is taken."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from gar_ros.doctor.facts import Driver, Gpu

_MAJOR, _MINOR, _INTEGRATED = 75, 76, 18
"""Numbers of CUdevice_attribute."""
_SUCCESS = 0
_TEXT = 256  # bytes of a name


class _Memory(ctypes.Structure):
    """nvmlMemory_t."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _CallError(Exception):
    """A function of the driver did not succeed."""


def read_driver(load: Callable[[str], Any] = ctypes.CDLL) -> Driver:
    """load: opens a library by its name, raises OSError."""
    try:
        cuda = load("libcuda.so.1")
    except OSError as error:
        missing = str(error).startswith("libcuda.so.1: cannot open shared object file")
        return Driver(problem="" if missing else str(error))
    version = ctypes.c_int(0)
    if cuda.cuDriverGetVersion(ctypes.byref(version)) != _SUCCESS:
        return Driver(problem="libcuda.so.1 doesn't tell its version")
    supported = f"{version.value // 1000}.{version.value % 1000 // 10}"
    try:
        _call(cuda, "cuInit", 0)
        return Driver(supported, gpu=_first_gpu(cuda, load))
    except _CallError as error:
        return Driver(supported, str(error))


def _first_gpu(cuda: Any, load: Callable[[str], Any]) -> Gpu | None:
    count, device, size = ctypes.c_int(0), ctypes.c_int(0), ctypes.c_size_t(0)
    _call(cuda, "cuDeviceGetCount", ctypes.byref(count))
    if count.value < 1:
        return None
    _call(cuda, "cuDeviceGet", ctypes.byref(device), 0)
    name = ctypes.create_string_buffer(_TEXT)
    _call(cuda, "cuDeviceGetName", name, _TEXT, device)
    _call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(size), device)
    integrated = bool(_attribute(cuda, _INTEGRATED, device))
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute=f"SM{_attribute(cuda, _MAJOR, device)}{_attribute(cuda, _MINOR, device)}",
        bytes=size.value,
        free_bytes=None if integrated else _free_bytes(cuda, device, load),
        integrated=integrated,
    )


def _attribute(cuda: Any, number: int, device: ctypes.c_int) -> int:
    value = ctypes.c_int(0)
    _call(cuda, "cuDeviceGetAttribute", ctypes.byref(value), number, device)
    return value.value


def _free_bytes(cuda: Any, device: ctypes.c_int, load: Callable[[str], Any]) -> int | None:
    """By NVML: CUDA itself would make a context first, which takes memory."""
    bus, handle, memory = ctypes.create_string_buffer(_TEXT), ctypes.c_void_p(), _Memory()
    try:
        nvml = load("libnvidia-ml.so.1")
        _call(cuda, "cuDeviceGetPCIBusId", bus, _TEXT, device)
    except (OSError, _CallError):
        return None
    steps = (
        lambda: nvml.nvmlInit_v2(),
        lambda: nvml.nvmlDeviceGetHandleByPciBusId_v2(bus.value, ctypes.byref(handle)),
        lambda: nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)),
    )
    return memory.free if all(step() == _SUCCESS for step in steps) else None


def _call(cuda: Any, function: str, *arguments: Any) -> None:
    """Raises _CallError with the driver's own words."""
    status = getattr(cuda, function)(*arguments)
    if status != _SUCCESS:
        text = ctypes.c_char_p()
        cuda.cuGetErrorString(status, ctypes.byref(text))
        raise _CallError(f"{function} gives {status}: {(text.value or b'an unknown error').decode(errors='replace')}")
