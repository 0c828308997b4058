# SPDX-License-Identifier: Apache-2.0
"""The memory that kernels work in: one block for all graphs, since the stream runs one after another."""

from __future__ import annotations

import numpy as np

from gar_ros.engine.runtime.tensorrt.device import Device, DeviceArray


class Scratch:
    """One block of device memory, as large as the graph that needs most."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._block: DeviceArray | None = None

    def block(self, size: int) -> DeviceArray:
        """The block, with `size` bytes or more. Growing moves it: ask before each run, and don't keep it.

        Raises GarError INTERNAL_ERROR where the GPU's memory is full.
        """
        if self._block is None or self._block.nbytes < size:
            self._block = None  # the stream frees it behind the graphs that use it: both need never fit at once
            self._block = self._device.empty((size,), np.uint8)
        return self._block

    def free(self) -> None:
        """Gives it back, behind the graphs that the stream still has to run."""
        self._block = None
