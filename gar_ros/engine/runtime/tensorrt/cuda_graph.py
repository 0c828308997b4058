# SPDX-License-Identifier: Apache-2.0
"""What a stream was asked to do, captured once and launched again as a whole by one call."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gar_ros.engine.runtime.tensorrt.device import Device


class CudaGraph:
    """An instantiated graph. Each launch reads and writes the memory that its capture named, whoever has it by then."""

    def __init__(self, device: Device, executable: Any) -> None:
        """executable: a cudaGraphExec_t."""
        self._device = device
        self._executable = executable
        self._destroy = weakref.finalize(self, _destroy, device, "cudaGraphExecDestroy", executable)
        self._destroy.atexit = False

    def launch(self) -> None:
        """Has the stream do it all, after what it was told before. Raises GarError INTERNAL_ERROR."""
        self._device.call("cudaGraphLaunch", self._executable, self._device.stream)

    def close(self) -> None:
        """Gives its memory back; CUDA waits for launches that are under way."""
        self._destroy()


def capture(device: Device, ask: Callable[[], bool]) -> CudaGraph | None:
    """A graph of what `ask` asks of the device's stream, of which nothing is done yet; None if it returns false.

    Raises GarError INTERNAL_ERROR where CUDA can't capture it. The stream is usable as before in either case.
    """
    mode = device.cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    with device.holding_frees():
        device.call("cudaStreamBeginCapture", device.stream, mode)
        asked = False
        try:
            asked = ask()
        finally:
            if not asked:  # it may have captured a part
                with suppress(Exception):
                    (graph,) = device.call("cudaStreamEndCapture", device.stream)
                    device.call("cudaGraphDestroy", graph)
        if not asked:
            return None
        (graph,) = device.call("cudaStreamEndCapture", device.stream)
        try:
            (executable,) = device.call("cudaGraphInstantiate", graph, 0)
        finally:
            _destroy(device, "cudaGraphDestroy", graph)
    return CudaGraph(device, executable)


def _destroy(device: Device, function: str, handle: Any) -> None:
    with suppress(Exception):  # as after an error of the GPU
        device.call(function, handle)
