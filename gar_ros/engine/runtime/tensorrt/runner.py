# SPDX-License-Identifier: Apache-2.0
"""TensorRT engines behind the runner protocol; inputs from a runner's outputs never leave the GPU."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.runtime.protocol import DeviceTensor
from gar_ros.engine.runtime.tensorrt.device import Device, DeviceArray
from gar_ros.engine.runtime.tensorrt.engines import EngineSource
from gar_ros.engine.runtime.tensorrt.execution import Execution, LoadedEngine, Tensor
from gar_ros.engine.runtime.tensorrt.replays import Replays
from gar_ros.engine.runtime.tensorrt.run_log import make_run_log
from gar_ros.engine.runtime.tensorrt.runtime_cache import RuntimeCache, runtime_cache_path
from gar_ros.engine.runtime.tensorrt.scratch import Scratch
from gar_ros.errors import ErrorCode, GarError


class TensorRtRunner:
    """One engine; of runs that repeat, CUDA graphs are replayed."""

    def __init__(self, engine: LoadedEngine) -> None:
        """Raises GarError INTERNAL_ERROR where the GPU has too little memory for it."""
        self._engine = engine
        self._device = engine.device
        self._execution = Execution(engine)
        self._replays = Replays(engine)
        self._numbers: DeviceArray | None = None
        self._new_profiles = set(range(len(engine.profiles)))
        if engine.scratch_bytes:  # where memory is too small, loading fails, not the first question
            engine.scratch.block(engine.scratch_bytes)
        engine.contexts.keep_kernels()

    def run(self, feeds: Mapping[str, NDArray[Any] | DeviceTensor]) -> dict[str, DeviceArray]:
        """See Runner. Raises GarError INVALID_REQUEST for shapes that the engine was not built for."""
        return self.run_in_place(feeds, {})

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return self._engine.types[name]

    def run_in_place(
        self, feeds: Mapping[str, NDArray[Any] | DeviceTensor], written: Mapping[str, str]
    ) -> dict[str, DeviceArray]:
        """As `run`, but some outputs are written over inputs of the same shape, which change.

        written: those outputs with their inputs, which are arrays of `zeros` in the feeds.
        """
        graph, expected = self._engine.graph, self._engine.inputs
        if feeds.keys() != expected:
            raise GarError(ErrorCode.BAD_MODEL, f"{graph}: expected {sorted(expected)}, got {sorted(feeds)}")
        replayed = self._replays.run(feeds, written)
        return self._run(feeds, written) if replayed is None else replayed

    def fetch(self, tensor: DeviceTensor) -> Callable[[], NDArray[Any]]:
        """See AsyncRunner."""
        return self._device.fetch(tensor) if isinstance(tensor, DeviceArray) else tensor.numpy

    def numbers(self, start: int, stop: int) -> DeviceArray:
        """See AsyncRunner."""
        if self._numbers is None or len(self._numbers) < stop:
            self._numbers = self._device.upload(np.arange(1 << stop.bit_length(), dtype=np.int64))
        return self._numbers[start:stop]

    def zeros(self, name: str, shape: Sequence[int]) -> DeviceArray:
        """Zeros for the input of this name, which runs may write over."""
        return self._device.zeros(shape, self._engine.types[name])

    def zeros_alike(self, names: Sequence[str], shape: Sequence[int]) -> dict[str, DeviceArray]:
        """See InPlaceRunner. Caches of one size, made and dropped in turn, so mostly come to be at the same addresses,
        and CUDA graphs of an earlier one serve again."""
        kinds = {self._engine.types[name] for name in names}
        if len(kinds) != 1:
            raise ValueError(f"expected inputs of one type, got {kinds}")
        return dict(zip(names, self._device.zeros_alike(shape, kinds.pop(), len(names)), strict=True))

    def copy_positions(
        self, source: NDArray[Any] | DeviceTensor, target: NDArray[Any] | DeviceTensor, count: int
    ) -> None:
        """Copies the first positions, along the last axis but one, from one array of `zeros` to another."""
        if not isinstance(source, DeviceArray) or not isinstance(target, DeviceArray):
            raise TypeError(f"expected arrays on the GPU, got {type(source).__name__} and {type(target).__name__}")
        self._device.copy_positions(source, target, count)

    def _run(
        self, feeds: Mapping[str, NDArray[Any] | DeviceTensor], written: Mapping[str, str]
    ) -> dict[str, DeviceArray]:
        execution = self._execution
        inputs = {name: self._on_device(name, value) for name, value in feeds.items()}
        execution.bind_inputs(inputs)
        outputs = execution.bind_outputs({output: inputs[name] for output, name in written.items()}, self._allocate)
        execution.lend_scratch()
        if not execution.enqueue():
            raise self._engine.failure("did not run")
        if execution.profile in self._new_profiles:
            self._new_profiles.remove(execution.profile)
            self._engine.contexts.keep_kernels()
        return outputs

    def _on_device(self, name: str, value: NDArray[Any] | DeviceTensor) -> DeviceArray:
        kind = self._engine.types[name]
        if isinstance(value, np.ndarray):
            return self._device.upload(value, kind)
        if not isinstance(value, DeviceArray) or value.dtype != kind:
            came = value.dtype if isinstance(value, DeviceArray) else type(value).__name__
            raise GarError(
                ErrorCode.BAD_MODEL, f"{self._engine.graph}: expected {name} of {kind} on the GPU, got {came}"
            )
        return value

    def _allocate(self, tensors: Mapping[str, Tensor]) -> dict[str, DeviceArray]:
        """Those of equal shape and type, as the layers' caches, are allocated together: a token of 16 layers has 33."""
        alike: dict[Tensor, list[str]] = {}
        for name, tensor in tensors.items():
            alike.setdefault(tensor, []).append(name)
        arrays: dict[str, DeviceArray] = {}
        for (shape, kind), names in alike.items():
            arrays.update(zip(names, self._device.empty_alike(shape, kind, len(names)), strict=True))
        return arrays

    def close(self) -> None:
        """Frees the engine. It can't be run any more."""
        self._numbers = None
        self._replays.close()
        self._execution.close()
        self._engine.close()


class TensorRtRuntime:
    """Runs a model's engines on this machine's GPU."""

    provider = "tensorrt"

    def __init__(self, source: EngineSource, cudart: Any) -> None:
        """source: gives the engines, which it builds or not. cudart: the module cuda.bindings.runtime."""
        self._source = source
        self._trt = source.tensorrt.module
        self._device = Device(cudart)
        self._scratch = Scratch(self._device)
        self._log = make_run_log(self._trt)
        self._runtime = self._trt.Runtime(self._log)
        self._loaded: WeakSet[TensorRtRunner] = WeakSet()

    def load(self, graph: Path) -> TensorRtRunner:
        """See Runtime. The engine comes from the cache. Raises GarError BAD_MODEL also when there is none and none may
        be built."""
        path = self._source.engine(graph.name)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            engine = self._runtime.deserialize_cuda_engine(content)
        if engine is None:
            self._device.raise_if_failed()
            reason = self._log.take_error() or "it gave no reason"
            raise GarError(
                ErrorCode.BAD_MODEL, f"TensorRT can't load '{path}': {reason}; delete it to have it built again"
            )
        cache = RuntimeCache(runtime_cache_path(path))
        loaded = LoadedEngine(self._trt, engine, self._device, self._scratch, graph.name, self._log, cache)
        runner = TensorRtRunner(loaded)
        self._loaded.add(runner)
        return runner

    def on_full(self, forget: Callable[[], object]) -> None:
        """See Runtime."""
        self._device.make_room.ask(forget)

    def close(self) -> None:
        """See Runtime. What runners returned may only be dropped. CUDA's own context stays with the process."""
        for runner in list(self._loaded):
            runner.close()
        self._runtime = None
        self._scratch.free()
        self._device.close()

    def join(self, parts: Sequence[NDArray[Any] | DeviceTensor]) -> DeviceArray:
        """See Runtime."""
        return self._device.join([part for part in parts if isinstance(part, (np.ndarray, DeviceArray))])
