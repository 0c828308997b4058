# SPDX-License-Identifier: Apache-2.0
"""An engine with what its runs share, and one execution context of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gar_ros.engine.runtime.failures import failure
from gar_ros.engine.runtime.tensorrt.contexts import Contexts
from gar_ros.engine.runtime.tensorrt.device import Device, DeviceArray
from gar_ros.engine.runtime.tensorrt.engine_profiles import EngineProfiles, Shape
from gar_ros.engine.runtime.tensorrt.runtime_cache import RuntimeCache
from gar_ros.engine.runtime.tensorrt.scratch import Scratch
from gar_ros.errors import ErrorCode, GarError

_TYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT64": np.int64, "UINT8": np.uint8}
"""TensorRT's names of the types that the exported graphs take and give."""

Tensor = tuple[Shape, np.dtype]
Allocate = Callable[[Mapping[str, Tensor]], Mapping[str, DeviceArray]]
"""Makes arrays of these shapes and types, by name, whose values are not set."""


class LoadedEngine:
    """An ICudaEngine, what was read from it once, and what its contexts share."""

    def __init__(
        self,
        trt: Any,
        engine: Any,
        device: Device,
        scratch: Scratch,
        graph: str,
        log: Any,
        cache: RuntimeCache | None = None,
    ) -> None:
        """trt: the module. scratch: shared by all engines of the device. graph: its name in errors. log: what
        `make_run_log` returned. cache: of the engine's kernels."""
        self.device = device
        self.scratch = scratch
        self.graph = graph
        self._log = log
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self.types = {name: _dtype(engine.get_tensor_dtype(name), graph) for name in names}
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self.inputs = frozenset(inputs)
        self.outputs = [name for name in names if name not in self.inputs]
        self.profiles = EngineProfiles(engine, inputs)
        self.scratch_bytes = int(engine.device_memory_size_v2)  # of the profile that needs most
        self.contexts = Contexts(trt, engine, cache)  # keeps the engine, as contexts need and don't do

    def failure(self, what: str) -> GarError:
        """The error of a call that failed, with TensorRT's reason. Raises GpuLostError where nothing works any more."""
        reason = self._log.take_error() or "it gave no reason"
        self.device.raise_if_failed()
        return failure(f"TensorRT: {self.graph} {what}", reason)

    def close(self) -> None:
        """Frees it; the contexts must be closed."""
        self.contexts.close()


class Execution:
    """One execution context, which changes its profile only when the shapes ask for another."""

    def __init__(self, engine: LoadedEngine) -> None:
        """Raises GarError INTERNAL_ERROR where there is no memory for it."""
        self._engine = engine
        self._device = engine.device
        self._context = engine.contexts.make()
        if self._context is None:
            raise engine.failure("has no execution context; most likely the GPU's memory is full")
        self.profile = 0
        self.scratch_address = 0  # what the context was given

    def bind_inputs(self, inputs: Mapping[str, DeviceArray]) -> None:
        """Takes these arrays, and the narrowest profile for them, for the next run.

        Raises GarError INVALID_REQUEST for shapes that the engine was not built for.
        """
        self._use_profile_for({name: array.shape for name, array in inputs.items()})
        for name, array in inputs.items():
            if not self._context.set_input_shape(name, array.shape):
                raise self._engine.failure(f"refused shape {array.shape} of {name}")
            self._bind(name, array)
        unknown = self._context.infer_shapes()
        if unknown:
            raise self._engine.failure(f"could not tell the shapes that depend on {unknown}")

    def bind_outputs(self, given: Mapping[str, DeviceArray], allocate: Allocate) -> dict[str, DeviceArray]:
        """The arrays that the next run writes: those that are given, and others from `allocate` for the rest.

        Raises GarError INTERNAL_ERROR where a given one doesn't fit.
        """
        rest: dict[str, Tensor] = {}
        for name in self._engine.outputs:
            shape, kind = tuple(self._context.get_tensor_shape(name)), self._engine.types[name]
            if name not in given:
                rest[name] = (shape, kind)
            elif (shape, kind) != (given[name].shape, given[name].dtype):
                raise self._engine.failure(f"can't write {name}, {shape}, over an input of {given[name].shape}")
        outputs = {**given, **allocate(rest)}
        for name, array in outputs.items():
            self._bind(name, array)
        return outputs

    def lend_scratch(self) -> None:
        """Lets the next run work in the scratch memory that all engines share."""
        if not self._engine.scratch_bytes:
            return
        block = self._engine.scratch.block(self._engine.scratch_bytes)
        if block.address != self.scratch_address:
            self._context.set_device_memory(block.address, block.nbytes)
            self.scratch_address = block.address

    def enqueue(self) -> bool:
        """Whether TensorRT takes the run. All that is bound may be freed when this returns: the stream frees it after
        it has run the graph."""
        return bool(self._context.execute_async_v3(self._device.stream))

    def may_be_captured(self) -> bool:
        """Whether TensorRT takes a run into a CUDA graph; the full TensorRT tells that only when it is tried."""
        tell = getattr(self._context, "is_stream_capturable", None)
        return tell is None or bool(tell(self._device.stream))

    def close(self) -> None:
        """Frees the context."""
        self._context = None

    def _use_profile_for(self, shapes: Mapping[str, Shape]) -> None:
        """Keeps the narrowest profile that takes these shapes."""
        profiles = self._engine.profiles
        wanted = profiles.narrowest_for(shapes)
        if wanted is None:
            raise GarError(ErrorCode.INVALID_REQUEST, f"{self._engine.graph}: {profiles.misfit(shapes)}")
        if wanted != self.profile:
            if not self._context.set_optimization_profile_async(wanted, self._device.stream):
                raise self._engine.failure(f"did not change to profile {wanted}")
            self.profile = wanted

    def _bind(self, name: str, array: DeviceArray) -> None:
        if not self._context.set_tensor_address(name, array.address):
            raise self._engine.failure(f"refused the address of {name}")


def _dtype(kind: Any, graph: str) -> np.dtype:
    if kind.name not in _TYPES:
        raise GarError(ErrorCode.BAD_MODEL, f"{graph}: expected inputs and outputs of {list(_TYPES)}, got {kind.name}")
    return np.dtype(_TYPES[kind.name])
