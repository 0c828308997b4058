# SPDX-License-Identifier: Apache-2.0
"""How fast memory is, in a process of its own: the host's by reading it, a GPU's by copying within it.

python -m gar_ros.bench.selftest bandwidth --threads N [--gpu]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gar_ros.bench.latency.limits import Limits, best_seconds
from gar_ros.bench.selftest.row import Row
from gar_ros.bench.selftest.stages import attempted
from gar_ros.engine.runtime.tensorrt.cuda_calls import cuda_runtime
from gar_ros.errors import ErrorCode, GarError

COPIED_BYTES = 256 << 20
"""Far beyond every cache."""
NAME = "memory bandwidth"


def gpu_bandwidth(cudart: Any, count: int = COPIED_BYTES) -> float:
    """Bytes a second that are read and written while the first GPU copies within its memory. cudart: the module
    cuda.bindings.runtime. Raises GarError INTERNAL_ERROR."""
    inside = cudart.cudaMemcpyKind.cudaMemcpyDeviceToDevice
    with _allocated(cudart, count) as source, _allocated(cudart, count) as target:

        def copy() -> None:
            _call(cudart, "cudaMemcpy", target, source, count, inside)
            _call(cudart, "cudaDeviceSynchronize")  # such copies return before they are done

        copy()
        return 2 * count / best_seconds(copy)


@contextmanager
def _allocated(cudart: Any, count: int) -> Iterator[int]:
    (address,) = _call(cudart, "cudaMalloc", count)
    try:
        yield address
    finally:
        cudart.cudaFree(address)


def _call(cudart: Any, function: str, *arguments: Any) -> tuple[Any, ...]:
    status, *results = getattr(cudart, function)(*arguments)
    if status != cudart.cudaError_t.cudaSuccess:
        raise GarError(ErrorCode.INTERNAL_ERROR, f"CUDA: {function} failed: {status}")
    return tuple(results)


def memory_of_gpu() -> tuple[int, int]:
    """Free and all bytes of the first GPU's memory. Raises GarError."""
    free, total = _call(cuda_runtime(), "cudaMemGetInfo")
    return int(free), int(total)


def main(argv: Sequence[str]) -> int:
    """Prints a row."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--gpu", action="store_true")
    args = parser.parse_args(argv)

    def measure() -> Row:
        rate = gpu_bandwidth(cuda_runtime()) if args.gpu else Limits(args.threads).bandwidth()
        how = "copied within the GPU's memory, read and written" if args.gpu else "read by all threads"
        return Row(NAME, None, f"{rate / 1e9:.1f} GB/s {how}", {"bytes_per_second": rate})

    print(attempted(NAME, measure).as_line(), flush=True)
    return 0
