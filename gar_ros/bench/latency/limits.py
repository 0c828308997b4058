# SPDX-License-Identifier: Apache-2.0
"""What the machine can do at most, in a process of its own: reading memory, and multiplying float32 matrices.

python -m gar_ros.bench.latency limits --threads N
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from gar_ros.bench.latency.work import Work
from gar_ros.bench.latency.worker import Recorder, serve

READ_BYTES = 512 << 20
"""Size of the array that is read: far beyond every cache."""
MATRIX_SIDES = (2048, 4096)
_RUNS, _SECONDS = 3, 0.5  # of each measurement, at least


class Limits:
    """Measures with a number of threads; BLAS has got the same from the environment."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def do(self, work: Work, recorder: Recorder) -> None:
        """Writes down bytes and floating-point operations a second. `work` only says when."""
        recorder.count(bandwidth=self.bandwidth(), flops=best_flops(np_multiplication, MATRIX_SIDES))

    def bandwidth(self) -> float:
        """Bytes a second at which all threads together read memory: the best of several readings."""
        values = np.ones(READ_BYTES // 4, np.float32)
        parts = np.array_split(values, self._threads)
        with ThreadPoolExecutor(self._threads) as pool:
            # The dot product of a part with itself reads it once, and NumPy lets other threads run meanwhile.
            return READ_BYTES / best_seconds(lambda: list(pool.map(lambda part: np.dot(part, part), parts)))


def best_flops(multiplication: Callable[[int], Callable[[], object]], sides: Sequence[int]) -> float:
    """Floating-point operations a second, 2 n^3 for matrices of side n: the best over several sides."""
    return max(2 * side**3 / best_seconds(multiplication(side)) for side in sides)


def best_seconds(run: Callable[[], object]) -> float:
    """The shortest of the durations of `run`: whatever else the machine does only makes it longer."""
    best, runs, begin = float("inf"), 0, time.perf_counter()
    while runs < _RUNS or time.perf_counter() - begin < _SECONDS:
        start = time.perf_counter()
        run()
        best, runs = min(best, time.perf_counter() - start), runs + 1
    return best


def np_multiplication(side: int) -> Callable[[], object]:
    """Multiplies two matrices of this side."""
    left, right = np.random.default_rng(0).random((2, side, side), np.float32)
    return lambda: left @ right


def thread_limits(threads: int) -> dict[str, str]:
    """Environment in which NumPy's BLAS uses this many threads; it reads that when it is loaded."""
    return dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    serve(Limits(parser.parse_args(argv).threads).do)
    return 0
