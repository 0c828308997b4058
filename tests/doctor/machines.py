# SPDX-License-Identifier: Apache-2.0
"""Machines on which all is there, and how to take something away. None of those with a GPU was at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gar_ros.doctor.facts import Choice, Driver, Engines, Facts, Gpu, Model, Module, OnnxRuntime, Ros, System

GB = 10**9
ON_CPU = Choice("cpu", "ONNX Runtime 1.32.0 on cpu: auto was asked for; tensorrt is not available: ..")
ON_TENSORRT = Choice("tensorrt", "tensorrt 10.16.0 on NVIDIA Thor, SM110: auto was asked for")
MODEL = Model(
    folder="gar-1b",
    name="GAR-1B",
    dtypes={"vision.onnx": "float16", "replay.onnx": "float16", "decoder.onnx": "float16"},
    weights=3 * GB,
    regions=5,
    needs_cpu=tuple(number * GB // 4 for number in range(1, 18)),
    needs_gpu=tuple(number * GB // 4 for number in range(1, 18)),
)
LAPTOP = Facts(
    system=System(free_bytes=16 * GB),
    onnxruntime=OnnxRuntime("1.32.0", packages=("onnxruntime",), providers=("CPUExecutionProvider",)),
    ros=Ros("7.1.6", rmw="rmw_fastrtps_cpp"),
    model=MODEL,
    choice=ON_CPU,
)
RTX_4090 = replace(
    LAPTOP,
    system=System(free_bytes=60 * GB, nvidia_hardware=True, kernel_driver="580.65.06"),
    driver=Driver("13.0", gpu=Gpu("NVIDIA GeForce RTX 4090", "SM89", 24 * GB, 23 * GB)),
    cuda_python=Module("13.0.3"),
    tensorrt=Module("10.16.0", cuda="13"),
    engines=Engines(),
    choice=ON_TENSORRT,
)
JETPACK_6 = replace(
    RTX_4090,
    system=System(
        arch="aarch64",
        python="3.10.12",
        name="Ubuntu 22.04.5 LTS",
        board="NVIDIA Jetson AGX Orin Developer Kit",
        l4t="36.4.3",
        packages={"nvidia-jetpack": "6.2+b77", "python3-libnvinfer": "10.3.0.30-1+cuda12.5"},
        kernel_driver="540.4.0",
        free_bytes=28 * GB,
        sees_system_packages=True,
        venv="/home/u/gar_venv",
    ),
    driver=Driver("12.6", gpu=Gpu("Orin", "SM87", 64 * GB, integrated=True)),
    cuda_python=Module("12.6.2"),
    tensorrt=Module("10.3.0"),
)
JETPACK_7 = replace(
    JETPACK_6,
    system=replace(
        JETPACK_6.system,
        python="3.12.3",
        name="Ubuntu 24.04 LTS",
        board="NVIDIA Jetson AGX Thor Developer Kit",
        l4t="38.4",
        packages={"nvidia-jetpack": "7.2", "python3-libnvinfer": "10.16.0.30-1+cuda13.2"},
    ),
    driver=Driver("13.2", gpu=Gpu("NVIDIA Thor", "SM110", 128 * GB, integrated=True)),
    cuda_python=Module("13.2.0"),
    tensorrt=Module("10.16.0"),
)


def changed(facts: Facts, **parts: Any) -> Facts:
    """`facts` with other parts; a dict changes fields of a part."""
    return replace(
        facts, **{n: replace(getattr(facts, n), **v) if isinstance(v, dict) else v for n, v in parts.items()}
    )
