# SPDX-License-Identifier: Apache-2.0
"""NVIDIA's driver, by a stand-in for its libraries: it proves how answers are read, not that a driver gives them."""

# The names are the driver's.
# ruff: noqa: N802

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from gar_ros.doctor.driver import read_driver
from gar_ros.doctor.facts import Driver, Gpu

GB = 10**9


class StandInDriver:
    """In place of libcuda.so.1."""

    def __init__(self, version: int = 12040, gpus: int = 1, status: int = 0, integrated: bool = False) -> None:
        self.version, self.gpus, self.status, self.integrated = version, gpus, status, integrated

    def cuDriverGetVersion(self, version: Any) -> int:
        version._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:
        return self.status

    def cuGetErrorString(self, status: int, text: Any) -> int:
        text._obj.value = b"system has unsupported display driver / cuda driver combination"
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:
        count._obj.value = self.gpus
        return 0

    def cuDeviceGet(self, device: Any, ordinal: int) -> int:
        device._obj.value = ordinal
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:
        name.value = b"NVIDIA GeForce RTX 4090"
        return 0

    def cuDeviceTotalMem_v2(self, size: Any, device: Any) -> int:
        size._obj.value = 24 * GB
        return 0

    def cuDeviceGetAttribute(self, value: Any, attribute: int, device: Any) -> int:
        value._obj.value = {75: 8, 76: 9, 18: int(self.integrated)}[attribute]
        return 0

    def cuDeviceGetPCIBusId(self, bus: Any, size: int, device: Any) -> int:
        bus.value = b"0000:01:00.0"
        return 0


class StandInNvml:
    """In place of libnvidia-ml.so.1."""

    def nvmlInit_v2(self) -> int:
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, bus: bytes, handle: Any) -> int:
        assert bus == b"0000:01:00.0"
        handle._obj.value = 5
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p, memory: Any) -> int:
        assert handle.value == 5
        memory._obj.free = 20 * GB
        return 0


def loader(driver: StandInDriver | None, nvml: StandInNvml | None = None) -> Callable[[str], Any]:
    libraries = {"libcuda.so.1": driver, "libnvidia-ml.so.1": nvml}

    def load(name: str) -> Any:
        if libraries[name] is None:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return libraries[name]

    return load


def test_a_gpu_with_its_free_memory() -> None:
    expected = Driver("12.4", gpu=Gpu("NVIDIA GeForce RTX 4090", "SM89", 24 * GB, 20 * GB))
    assert read_driver(loader(StandInDriver(), StandInNvml())) == expected


def test_without_nvml_the_free_memory_is_not_known() -> None:
    found = read_driver(loader(StandInDriver())).gpu
    assert found and found.free_bytes is None


def test_the_memory_of_an_integrated_gpu_is_the_hosts() -> None:
    found = read_driver(loader(StandInDriver(integrated=True), StandInNvml())).gpu
    assert found and found.integrated and found.free_bytes is None


def test_no_driver() -> None:
    assert read_driver(loader(None)) == Driver()


def test_a_library_that_is_there_and_does_not_load() -> None:
    def load(name: str) -> Any:
        raise OSError(f"{name}: file too short")

    assert read_driver(load) == Driver(problem="libcuda.so.1: file too short")


def test_a_driver_that_does_not_start_says_why() -> None:
    found = read_driver(loader(StandInDriver(status=803)))
    assert (found.cuda, found.gpu) == ("12.4", None)
    assert found.problem == ("cuInit gives 803: system has unsupported display driver / cuda driver combination")


def test_a_driver_without_a_gpu() -> None:
    assert read_driver(loader(StandInDriver(version=13020, gpus=0))) == Driver("13.2")
