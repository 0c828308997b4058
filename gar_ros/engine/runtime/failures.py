# SPDX-License-Identifier: Apache-2.0
"""What a runtime's failure means for the requests after it: nothing, that memory is full, or that the GPU is lost."""

from __future__ import annotations

import re

from gar_ros.errors import ErrorCode, GarError, GpuLostError, OutOfMemoryError
from gar_ros.json_reader import printable

OUT_OF_MEMORY = "out of memory; use fewer tiles (request.max_tiles) or regions, or set request.max_memory"

FULL = 2
"""CUDA's error number for memory that can't be allocated."""

LOST = {
    226: "invalid access of peer gpu memory over nvlink or a hardware error",
    700: "an illegal memory access was encountered",
    702: "the launch timed out and was terminated",
    710: "device-side assert triggered",
    714: "hardware stack error",
    715: "an illegal instruction was encountered",
    716: "misaligned address",
    717: "operation not supported on global/shared address space",
    718: "invalid program counter",
    719: "unspecified launch failure",
    721: "tensor memory not completely freed",
    810: "the mps client has been terminated by the server",
    911: "an async error has occured in external entity outside of cuda",
}
"""CUDA's errors after which, as it documents, the process must be ended and started again, by their numbers, and what
CUDA says of each in lower case: ONNX Runtime and TensorRT quote that."""

START_AGAIN = "this process can't use the GPU any more, only a new one can: start it again"

_FULL = re.compile("out of memory|bad_alloc|failed to allocate|unable to allocate|alloc_failed", re.IGNORECASE)


def failure(what: str, reason: str, number: int = 0) -> GarError:
    """The error for something that failed: OutOfMemoryError, GpuLostError, or a plain GarError INTERNAL_ERROR.

    what: "ONNX Runtime could not run decoder.onnx". reason: in the library's words. number: CUDA's, where it is known.
    """
    if number in LOST or any(text in reason.lower() for text in LOST.values()):
        return GpuLostError(f"{what}: {reason}; {START_AGAIN}")
    if number == FULL or _FULL.search(reason):
        return OutOfMemoryError(f"{what}: {OUT_OF_MEMORY} ({reason})")
    return GarError(ErrorCode.INTERNAL_ERROR, f"{what}: {reason}")


def first_line(error: BaseException) -> str:
    """What an exception says, in one line that is not empty."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 an exception of a library that can't even be printed
        lines = []
    return printable(lines[0]) if lines else type(error).__name__
