# SPDX-License-Identifier: Apache-2.0
"""One run of an engine, captured as a CUDA graph and replayed: the same shapes, and caches at the same addresses."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.runtime.protocol import DeviceTensor
from gar_ros.engine.runtime.tensorrt.cuda_graph import CudaGraph, capture
from gar_ros.engine.runtime.tensorrt.device import DeviceArray
from gar_ros.engine.runtime.tensorrt.execution import Execution, LoadedEngine, Tensor
from gar_ros.errors import GarError

Feeds = Mapping[str, NDArray[Any] | DeviceTensor]


class CapturedRun:
    """Has an execution context of its own, which nothing changes once it is captured, as TensorRT asks.

    Inputs are copied to arrays that only this object has, and outputs are copied from such arrays: nobody else ever
    holds what a replay writes, but for the caches. Their addresses are those of the arrays that each call gives.
    """

    def __init__(self, engine: LoadedEngine, feeds: Feeds, written: Mapping[str, str]) -> None:
        """feeds, written: as of `run`. Raises GarError where there is no memory or TensorRT captures no such run."""
        self._engine = engine
        self._device = engine.device
        caches = {name: value for name, value in feeds.items() if name in written.values()}
        self._tensors: dict[str, Tensor] = {}
        self._inputs: dict[str, DeviceArray] = {}
        self._there: dict[str, NDArray[Any]] = {}  # host values that the input has
        for name, value in feeds.items():
            if name not in caches and isinstance(value, (np.ndarray, DeviceArray)):
                self._inputs[name] = self._device.empty(value.shape, engine.types[name])
        self._graph: CudaGraph | None = None
        self._execution = Execution(engine)
        self._execution.bind_inputs({**self._inputs, **{name: _on_device(value) for name, value in caches.items()}})
        given = {output: _on_device(feeds[name]) for output, name in written.items()}
        self._execution.bind_outputs(given, self._allocate)
        self._execution.lend_scratch()
        if not self._execution.may_be_captured():
            raise engine.failure("can't be captured; build its engine again")

    def _allocate(self, tensors: Mapping[str, Tensor]) -> Mapping[str, DeviceArray]:
        self._tensors = dict(tensors)
        self._block, arrays = self._device.empty_together(list(tensors.values()))
        return dict(zip(tensors, arrays, strict=True))

    def run(self, feeds: Feeds, written: Mapping[str, str]) -> dict[str, DeviceArray]:
        """The outputs, in arrays of their own but for those that are written over inputs.

        feeds: of the shapes that this was made for, and with caches at the same addresses. written: outputs that are
        written over inputs, with these. Raises GarError INTERNAL_ERROR.
        """
        tensors = list(self._tensors.values())
        block, arrays = self._device.empty_together(tensors)  # first, since it may have caches make room
        for name, target in self._inputs.items():
            self._put(name, feeds[name], target)
        if self._graph is not None:
            self._graph.launch()
        elif not self._execution.enqueue():
            raise self._engine.failure("did not run")
        self._device.fill(block, self._block)
        outputs = dict(zip(self._tensors, arrays, strict=True))
        return outputs | {output: _on_device(feeds[name]) for output, name in written.items()}

    def capture(self) -> bool:
        """Whether the following runs are replays. To be called once a run has been enqueued, since TensorRT does with
        the first one what can't be captured. Raises GarError INTERNAL_ERROR where CUDA can't capture it."""
        self._graph = capture(self._device, self._execution.enqueue)
        return self._graph is not None

    @property
    def is_captured(self) -> bool:
        """Whether runs are replays."""
        return self._graph is not None

    def is_valid(self) -> bool:
        """Whether the scratch memory, whose address was captured, is still where it was."""
        block = self._engine.scratch_bytes and self._engine.scratch.block(self._engine.scratch_bytes).address
        return self._execution.scratch_address == block

    def close(self) -> None:
        """Gives graph and context back, once no run of theirs is under way; the arrays go with this object."""
        with suppress(GarError):  # as where the GPU is what failed
            self._device.raise_if_failed()
        if self._graph is not None:
            self._graph.close()
        self._graph = None
        self._execution.close()

    def _put(self, name: str, value: NDArray[Any] | DeviceTensor, target: DeviceArray) -> None:
        """Copies an input to its array, unless that has these values already."""
        if isinstance(value, DeviceArray):
            self._there.pop(name, None)
            self._device.fill(target, value)
            return
        values = np.asarray(value)
        there = self._there.get(name)
        if there is None or not np.array_equal(there, values):
            self._device.fill(target, values)
            self._there[name] = values.copy()


def _on_device(value: NDArray[Any] | DeviceTensor) -> DeviceArray:
    if not isinstance(value, DeviceArray):
        raise TypeError(f"expected an array on the GPU, got {type(value).__name__}")
    return value
