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

from gar_ros.engine.runtime.failures import failure
from gar_ros.engine.runtime.protocol import DeviceTensor
from gar_ros.engine.runtime.tensorrt.device import Device, DeviceArray
from gar_ros.engine.runtime.tensorrt.engine_profiles import EngineProfiles, Shape
from gar_ros.engine.runtime.tensorrt.engines import EngineSource
from gar_ros.engine.runtime.tensorrt.run_log import make_run_log
from gar_ros.engine.runtime.tensorrt.scratch import Scratch
from gar_ros.errors import ErrorCode, GarError

_TYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT64": np.int64, "UINT8": np.uint8}
"""TensorRT's names of the types that the exported graphs take and give."""


class TensorRtRunner:
    """One engine with one execution context, which changes its profile only when the shapes ask for another."""

    def __init__(self, trt: Any, engine: Any, device: Device, scratch: Scratch, graph: str, log: Any) -> None:
        """trt: the module. engine: an ICudaEngine. scratch: shared by all runners of the device. graph: its name in
        errors. log: what `make_run_log` returned."""
        self._device = device
        self._log = log
        self._scratch = scratch
        self._graph = graph
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self._types = {name: _dtype(engine.get_tensor_dtype(name), graph) for name in names}
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._inputs = frozenset(inputs)
        self._outputs = [name for name in names if name not in self._inputs]
        self._profiles = EngineProfiles(engine, inputs)
        self._engine = engine  # the context needs it, but doesn't keep it
        self._context = engine.create_execution_context(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        if self._context is None:
            raise self._failure("has no execution context; most likely the GPU's memory is full")
        self._profile = 0
        self._scratch_bytes = int(engine.device_memory_size_v2)  # of the profile that needs most
        self._scratch_address = 0  # what the context was given
        if self._scratch_bytes:
            scratch.block(self._scratch_bytes)  # where memory is too small, loading fails, not the first question

    def run(self, feeds: Mapping[str, NDArray[Any] | DeviceTensor]) -> dict[str, DeviceArray]:
        """See Runner. Raises GarError INVALID_REQUEST for shapes that the engine was not built for."""
        return self.run_in_place(feeds, {})

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return self._types[name]

    def run_in_place(
        self, feeds: Mapping[str, NDArray[Any] | DeviceTensor], written: Mapping[str, str]
    ) -> dict[str, DeviceArray]:
        """As `run`, but some outputs are written over inputs of the same shape, which change.

        written: those outputs with their inputs, which are arrays of `zeros` in the feeds.
        """
        if feeds.keys() != self._inputs:
            raise GarError(ErrorCode.BAD_MODEL, f"{self._graph}: expected {sorted(self._inputs)}, got {sorted(feeds)}")
        context = self._context
        inputs = {name: self._on_device(name, value) for name, value in feeds.items()}
        self._use_profile_for({name: array.shape for name, array in inputs.items()})
        for name, array in inputs.items():
            if not context.set_input_shape(name, array.shape):
                raise self._failure(f"refused shape {array.shape} of {name}")
            self._bind(name, array)
        unknown = context.infer_shapes()
        if unknown:
            raise self._failure(f"could not tell the shapes that depend on {unknown}")
        outputs = self._bind_outputs({output: inputs[name] for output, name in written.items()})
        self._lend_scratch()
        # Inputs may be freed when this returns: the stream frees them after it has run the graph.
        if not context.execute_async_v3(self._device.stream):
            raise self._failure("did not run")
        return outputs

    def zeros(self, name: str, shape: Sequence[int]) -> DeviceArray:
        """Zeros for the input of this name, which runs may write over."""
        return self._device.zeros(shape, self._types[name])

    def copy_positions(
        self, source: NDArray[Any] | DeviceTensor, target: NDArray[Any] | DeviceTensor, count: int
    ) -> None:
        """Copies the first positions, along the last axis but one, from one array of `zeros` to another."""
        if not isinstance(source, DeviceArray) or not isinstance(target, DeviceArray):
            raise TypeError(f"expected arrays on the GPU, got {type(source).__name__} and {type(target).__name__}")
        self._device.copy_positions(source, target, count)

    def _on_device(self, name: str, value: NDArray[Any] | DeviceTensor) -> DeviceArray:
        if isinstance(value, np.ndarray):
            return self._device.upload(value, self._types[name])
        if not isinstance(value, DeviceArray) or value.dtype != self._types[name]:
            came = value.dtype if isinstance(value, DeviceArray) else type(value).__name__
            raise GarError(
                ErrorCode.BAD_MODEL, f"{self._graph}: expected {name} of {self._types[name]} on the GPU, got {came}"
            )
        return value

    def _use_profile_for(self, shapes: Mapping[str, Shape]) -> None:
        """Keeps the narrowest profile that takes these shapes."""
        wanted = self._profiles.narrowest_for(shapes)
        if wanted is None:
            raise GarError(ErrorCode.INVALID_REQUEST, f"{self._graph}: {self._profiles.misfit(shapes)}")
        if wanted != self._profile:
            if not self._context.set_optimization_profile_async(wanted, self._device.stream):
                raise self._failure(f"did not change to profile {wanted}")
            self._profile = wanted

    def _bind_outputs(self, given: Mapping[str, DeviceArray]) -> dict[str, DeviceArray]:
        """The outputs, bound to the context: in the arrays that are given for some, the others in new ones.

        Those of equal shape and type, as the layers' caches, are allocated together: a token of 16 layers has 33.
        """
        alike: dict[tuple[Shape, np.dtype], list[str]] = {}
        for name in self._outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            if name not in given:
                alike.setdefault((shape, self._types[name]), []).append(name)
            elif (shape, self._types[name]) != (given[name].shape, given[name].dtype):
                raise self._failure(f"can't write {name}, {shape}, over an input of {given[name].shape}")
        outputs = dict(given)
        for (shape, kind), names in alike.items():
            outputs.update(zip(names, self._device.empty_alike(shape, kind, len(names)), strict=True))
        for name, array in outputs.items():
            self._bind(name, array)
        return outputs

    def _lend_scratch(self) -> None:
        if not self._scratch_bytes:
            return
        block = self._scratch.block(self._scratch_bytes)
        if block.address != self._scratch_address:
            self._context.set_device_memory(block.address, block.nbytes)
            self._scratch_address = block.address

    def _bind(self, name: str, array: DeviceArray) -> None:
        if not self._context.set_tensor_address(name, array.address):
            raise self._failure(f"refused the address of {name}")

    def _failure(self, what: str) -> GarError:
        reason = self._log.take_error() or "it gave no reason"
        self._device.raise_if_failed()
        return failure(f"TensorRT: {self._graph} {what}", reason)

    def close(self) -> None:
        """Frees the engine. It can't be run any more."""
        self._context = self._engine = None


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
        runner = TensorRtRunner(self._trt, engine, self._device, self._scratch, graph.name, self._log)
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


def _dtype(kind: Any, graph: str) -> np.dtype:
    if kind.name not in _TYPES:
        raise GarError(ErrorCode.BAD_MODEL, f"{graph}: expected inputs and outputs of {list(_TYPES)}, got {kind.name}")
    return np.dtype(_TYPES[kind.name])
