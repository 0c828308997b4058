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
from gar_ros.engine.runtime.tensorrt.engines import EngineSource
from gar_ros.engine.runtime.tensorrt.run_log import make_run_log
from gar_ros.errors import ErrorCode, GarError

Shapes = Mapping[str, tuple[int, ...]]

_TYPES = {"FLOAT": np.float32, "HALF": np.float16, "INT64": np.int64}
"""TensorRT's names of the types that the exported graphs take and give."""


class TensorRtRunner:
    """One engine with one execution context, which changes its profile only when the shapes ask for another."""

    def __init__(self, trt: Any, engine: Any, device: Device, graph: str, log: Any) -> None:
        """trt: the module. engine: an ICudaEngine. graph: its name in errors. log: what `make_run_log` returned."""
        self._device = device
        self._log = log
        self._graph = graph
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self._types = {name: _dtype(engine.get_tensor_dtype(name), graph) for name in names}
        self._inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._outputs = [name for name in names if name not in self._inputs]
        self._profiles = [
            {name: tuple(map(tuple, engine.get_tensor_profile_shape(name, number))) for name in self._inputs}
            for number in range(engine.num_optimization_profiles)
        ]
        self._engine = engine  # the context needs it, but doesn't keep it
        self._context = engine.create_execution_context()
        self._check(self._context is not None, "has no execution context; most likely the GPU's memory is full")
        self._profile = 0

    def run(self, feeds: Mapping[str, NDArray[Any] | DeviceTensor]) -> dict[str, DeviceArray]:
        """See Runner. Raises GarError INVALID_REQUEST for shapes that the engine was not built for."""
        if set(feeds) != set(self._inputs):
            raise GarError(ErrorCode.BAD_MODEL, f"{self._graph}: expected {sorted(self._inputs)}, got {sorted(feeds)}")
        inputs = {name: self._on_device(name, value) for name, value in feeds.items()}
        self._use_profile_for({name: array.shape for name, array in inputs.items()})
        for name, array in inputs.items():
            self._check(self._context.set_input_shape(name, array.shape), f"refused shape {array.shape} of {name}")
            self._bind(name, array)
        unknown = self._context.infer_shapes()
        self._check(not unknown, f"could not tell the shapes that depend on {unknown}")
        outputs = {}
        for name in self._outputs:
            outputs[name] = self._device.empty(tuple(self._context.get_tensor_shape(name)), self._types[name])
            self._bind(name, outputs[name])
        # Inputs may be freed when this returns: the stream frees them after it has run the graph.
        self._check(self._context.execute_async_v3(self._device.stream), "did not run")
        return outputs

    def _on_device(self, name: str, value: NDArray[Any] | DeviceTensor) -> DeviceArray:
        if isinstance(value, np.ndarray):
            return self._device.upload(np.ascontiguousarray(value, self._types[name]))
        if not isinstance(value, DeviceArray) or value.dtype != self._types[name]:
            came = value.dtype if isinstance(value, DeviceArray) else type(value).__name__
            raise GarError(
                ErrorCode.BAD_MODEL, f"{self._graph}: expected {name} of {self._types[name]} on the GPU, got {came}"
            )
        return value

    def _use_profile_for(self, shapes: Shapes) -> None:
        """Keeps the narrowest profile that takes these shapes."""
        fitting = [number for number in range(len(self._profiles)) if _takes(self._profiles[number], shapes)]
        if not fitting:
            raise GarError(ErrorCode.INVALID_REQUEST, f"{self._graph}: {_misfit(self._profiles, shapes)}")
        wanted = min(fitting, key=lambda number: _extent(self._profiles[number]))
        if wanted != self._profile:
            done = self._context.set_optimization_profile_async(wanted, self._device.stream)
            self._check(done, f"did not change to profile {wanted}")
            self._profile = wanted

    def _bind(self, name: str, array: DeviceArray) -> None:
        self._check(self._context.set_tensor_address(name, array.address), f"refused the address of {name}")

    def _check(self, done: bool, what: str) -> None:
        if not done:
            reason = self._log.take_error() or "it gave no reason"
            self._device.raise_if_failed()
            raise failure(f"TensorRT: {self._graph} {what}", reason)

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
        runner = TensorRtRunner(self._trt, engine, self._device, graph.name, self._log)
        self._loaded.add(runner)
        return runner

    def join(self, parts: Sequence[NDArray[Any] | DeviceTensor]) -> DeviceArray:
        """See Runtime."""
        return self._device.join([part for part in parts if isinstance(part, (np.ndarray, DeviceArray))])

    def on_full(self, forget: Callable[[], object]) -> None:
        """See Runtime."""
        self._device.make_room.ask(forget)

    def close(self) -> None:
        """See Runtime. Engines, stream and all memory without an owner go; CUDA's context stays with the process."""
        for runner in list(self._loaded):
            runner.close()
        self._runtime = None
        self._device.close()


def _dtype(kind: Any, graph: str) -> np.dtype:
    if kind.name not in _TYPES:
        raise GarError(ErrorCode.BAD_MODEL, f"{graph}: expected inputs and outputs of {list(_TYPES)}, got {kind.name}")
    return np.dtype(_TYPES[kind.name])


def _takes(profile: Mapping[str, tuple[tuple[int, ...], ...]], shapes: Shapes) -> bool:
    return all(
        len(shape) == len(profile[name][0])
        and all(low <= size <= high for low, size, high in zip(profile[name][0], shape, profile[name][2], strict=True))
        for name, shape in shapes.items()
    )


def _extent(profile: Mapping[str, tuple[tuple[int, ...], ...]]) -> int:
    """Elements of the largest inputs."""
    return sum(int(np.prod(largest, dtype=np.int64)) for _, _, largest in profile.values())


def _misfit(profiles: Sequence[Mapping[str, tuple[tuple[int, ...], ...]]], shapes: Shapes) -> str:
    """What was expected and what came, of the inputs that no profile takes (else of all)."""
    alone = [name for name in shapes if not any(_takes(profile, {name: shapes[name]}) for profile in profiles)]
    return "; ".join(
        f"expected {name} of {' or '.join(f'{profile[name][0]} to {profile[name][2]}' for profile in profiles)}, "
        f"got {shapes[name]}"
        for name in alone or shapes
    )
