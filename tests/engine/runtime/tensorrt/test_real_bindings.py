# SPDX-License-Identifier: Apache-2.0
"""cuda-python of three generations, as it is, where there is no GPU: `auto` falls back, and the reason is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gar_ros.engine.model_dir.folder import default_model_dir

INSTALLED = Path(__file__).parents[4] / "build/cuda_python"
"""Where `make test-rest` installs each of them, in a folder of its own."""
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules["tensorrt"] = None
from cuda.bindings import runtime
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.runtime.tensorrt.installed import find_tensorrt
from gar_ros.errors import GarError

print(runtime.__file__)
try:
    status, *_ = runtime.cudaGetDeviceCount()
    print(int(status))
except RuntimeError as error:
    print(error)
print(GarEngine.open(sys.argv[2], "auto", threads=1).provider)
try:
    find_tensorrt()
except GarError as error:
    print(error.message)
"""


@pytest.mark.parametrize(
    ("version", "answer"),
    [("12.6", "Failed to dlopen libcuda.so"), ("12.9", "35"), ("13", "35")],  # 35: cudaErrorInsufficientDriver
)
def test_without_a_driver_auto_takes_the_cpu_and_the_reason_is_told(version: str, answer: str) -> None:
    folder = INSTALLED / version
    if not folder.is_dir():
        pytest.skip("cuda-python is not there (make test-rest)")
    command = [sys.executable, "-c", PROGRAM, str(folder), str(default_model_dir())]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    file, came, provider, reason = ran.stdout.splitlines()
    assert Path(file).is_relative_to(folder)
    if "CUDA finds no GPU (NVIDIA's driver, libcuda.so.1, is not found)" not in reason:
        pytest.skip(f"there is a driver here: {reason}")
    assert came.startswith(answer)
    assert provider == "cpu"
    assert reason.startswith("TensorRT can't be used here: ")
