# SPDX-License-Identifier: Apache-2.0
"""A stand-in for TensorRT whose engines run in ONNX Runtime on the CPU, in the memory of the stand-in for CUDA.

It is no proof that anything runs on a GPU. It holds the callers to what TensorRT documents, such as shapes within the
active profile. What it offers is compared with the real module in test_real_modules.py.
"""

# The names are TensorRT's.
# ruff: noqa: N802

from __future__ import annotations

import json
from enum import Enum, IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import numpy as np
import onnxruntime as ort

from tests.engine.runtime.tensorrt.stand_in_cuda import GARBAGE, StandInCuda


class StandInTensorRt:
    """In place of the module tensorrt, with the GPU of a StandInCuda."""

    __version__ = "10.3.0"
    __name__ = "tensorrt"

    class TensorIOMode(Enum):
        INPUT = 1
        OUTPUT = 2

    class DataType(Enum):
        FLOAT = 0
        HALF = 1
        UINT8 = 5
        INT64 = 8

    class NetworkDefinitionCreationFlag(IntEnum):
        STRONGLY_TYPED = 1

    class BuilderFlag(Enum):
        DEBUG = 1

    class MemoryPoolType(Enum):
        WORKSPACE = 0

    class ExecutionContextAllocationStrategy(Enum):
        STATIC = 0
        USER_MANAGED = 2

    class ILogger:
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    class Logger(ILogger):
        def __init__(self, min_severity: int = 2) -> None: ...

    class IProgressMonitor: ...

    def __init__(self, cuda: StandInCuda) -> None:
        self.cuda = cuda
        self.builds: list[Config] = []
        self.switches: list[int] = []
        self.engines: WeakSet[Engine] = WeakSet()
        self.refusal = ""
        """Why no graph is run; empty where they are."""
        self.capture_refusal = ""
        """Why none can be captured."""

    def Builder(self, logger: Any) -> Builder:
        return Builder(self, logger)

    def OnnxParser(self, network: Network, logger: Any) -> Parser:
        return Parser(network)

    def Runtime(self, logger: Any) -> Runtime:
        return Runtime(self, logger)

    def engine(self, content: bytes, logger: Any) -> Engine:
        return Engine(self, content, logger)


NUMPY = {
    StandInTensorRt.DataType.FLOAT: np.float32,
    StandInTensorRt.DataType.HALF: np.float16,
    StandInTensorRt.DataType.UINT8: np.uint8,
    StandInTensorRt.DataType.INT64: np.int64,
}


class Builder:
    def __init__(self, trt: StandInTensorRt, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def create_network(self, flags: int = 0) -> Network:
        assert flags == 1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return Network()

    def create_builder_config(self) -> Config:
        return Config()

    def create_optimization_profile(self) -> Profile:
        return Profile()

    def build_serialized_network(self, network: Network, config: Config) -> bytes | None:
        assert config.profiles
        if config.progress_monitor is not None:
            config.progress_monitor.phase_start("Building", None, 2)
            go_on = all(config.progress_monitor.step_complete("Building", step) for step in range(2))
            config.progress_monitor.phase_finish("Building")
            if not go_on:
                return None
        self._logger.log(self._trt.ILogger.INFO, "building")
        self._trt.builds.append(config)
        return json.dumps([profile.shapes for profile in config.profiles]).encode() + b"\n" + network.model


class Network:
    model = b""

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    def get_input(self, index: int) -> Any:
        return self._inputs[index]

    def parsed(self, model: bytes) -> None:
        self.model = model
        self._inputs = ort.InferenceSession(model).get_inputs()


class Parser:
    def __init__(self, network: Network) -> None:
        self._network = network
        self.num_errors = 0

    def parse_from_file(self, model: str) -> bool:
        try:
            self._network.parsed(Path(model).read_bytes())
        except Exception:  # noqa: BLE001, ONNX Runtime's errors have no common base
            self.num_errors = 1
        return not self.num_errors

    def get_error(self, index: int) -> Any:
        return SimpleNamespace(node_operator=lambda: "RoiAlign", desc=lambda: "no importer")


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, list[tuple[int, ...]]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self.shapes[input] = [tuple(min), tuple(opt), tuple(max)]


class Config:
    progress_monitor: Any = None

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self.flags: list[Any] = []
        self.limits: dict[Any, int] = {}
        self.timings = b""

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def set_flag(self, flag: Any) -> None:
        self.flags.append(flag)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.limits[pool] = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        return SimpleNamespace(serialize=lambda: serialized_timing_cache + b"+")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        self.timings = cache.serialize()
        return not ignore_mismatch

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: self.timings)


class Runtime:
    def __init__(self, trt: StandInTensorRt, logger: Any) -> None:
        self._trt, self._logger = trt, logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Engine | None:
        content = bytes(serialized_engine)
        if not content.startswith(b"["):
            self._logger.log(self._trt.ILogger.ERROR, "the engine plan file is not compatible")
            return None
        return self._trt.engine(content, self._logger)


class Engine:
    def __init__(self, trt: StandInTensorRt, content: bytes, logger: Any) -> None:
        shapes, _, model = content.partition(b"\n")
        self.trt, self.logger = trt, logger
        trt.engines.add(self)
        self.profiles = json.loads(shapes)
        self.session = ort.InferenceSession(model)
        kinds = StandInTensorRt.DataType
        types = {"float": kinds.FLOAT, "float16": kinds.HALF, "int64": kinds.INT64, "uint8": kinds.UINT8}
        values = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.types = {value.name: types[value.type[len("tensor(") : -1]] for value in values}
        self.inputs = [value.name for value in self.session.get_inputs()]

    @property
    def num_io_tensors(self) -> int:
        return len(self.types)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.profiles)

    def get_tensor_name(self, index: int) -> str:
        return list(self.types)[index]

    def get_tensor_dtype(self, name: str) -> Any:
        return self.types[name]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.trt.TensorIOMode
        return modes.INPUT if name in self.inputs else modes.OUTPUT

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        return self.profiles[profile_index][name]

    @property
    def device_memory_size_v2(self) -> int:
        """Scratch memory, as if kernels needed as much as the largest inputs of a profile."""
        largest = [[shapes[2] for shapes in profile.values()] for profile in self.profiles]
        return max(sum(4 * int(np.prod(shape)) for shape in shapes) for shapes in largest)

    def create_execution_context(self, strategy: Any) -> Context:
        assert strategy is self.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        return Context(self)


class Context:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._results: dict[str, tuple[int, ...]] = {}
        self._scratch = 0
        self._changes = 0
        self._settled = False  # whether a run has followed the last change of shapes

    def set_device_memory(self, memory: int, size: int) -> None:
        assert self._engine.trt.cuda.holds(memory, size) and size >= self._engine.device_memory_size_v2
        self._changes += 1
        self._scratch = memory

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        assert stream_handle == self._engine.trt.cuda.STREAM
        self._profile, self._shapes = profile_index, {}
        self._engine.trt.switches.append(profile_index)
        self._change_shapes()
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine.profiles[self._profile][name]
        if self._shapes.get(name) != tuple(shape):
            self._change_shapes()
        self._shapes[name] = tuple(shape)
        return all(a <= size <= b for a, size, b in zip(low, shape, high, strict=True))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._changes += 1
        self._addresses[name] = memory
        return self._engine.trt.cuda.holds(memory, 1)

    def infer_shapes(self) -> list[str]:
        assert set(self._shapes) == set(self._engine.inputs)
        zeros = {name: np.zeros(shape, NUMPY[self._engine.types[name]]) for name, shape in self._shapes.items()}
        names = [value.name for value in self._engine.session.get_outputs()]
        outputs = self._engine.session.run(names, zeros)
        self._results = {name: output.shape for name, output in zip(names, outputs, strict=True)}
        return []

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name] if name in self._shapes else self._results[name]

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine, cuda = self._engine, self._engine.trt.cuda
        assert stream_handle == cuda.STREAM
        if refusal := "enqueueV3 failed" if cuda.sticky else engine.trt.refusal:
            engine.logger.log(engine.trt.ILogger.ERROR, refusal)
            return False
        bound = dict(self._addresses), dict(self._shapes), dict(self._results), self._scratch
        changes, settled = self._changes, self._settled

        def work() -> None:
            assert self._changes == changes, "a context was changed after it was captured"
            self._work(*bound)

        if cuda.ask(work):
            assert settled, "captured before a run has followed the change of shapes"
            if refusal := engine.trt.capture_refusal:
                engine.logger.log(engine.trt.ILogger.ERROR, refusal)
            return not refusal
        cuda.calls["execute"] += 1
        self._settled = True
        return True

    def _change_shapes(self) -> None:
        self._changes += 1
        self._settled = False

    def _work(
        self,
        addresses: dict[str, int],
        shapes: dict[str, tuple[int, ...]],
        outputs: dict[str, tuple[int, ...]],
        scratch_address: int,
    ) -> None:
        """Has the stream run the graph in the memory that is at these addresses now."""
        engine, cuda = self._engine, self._engine.trt.cuda
        feeds = {name: cuda.array(addresses[name], shapes[name], NUMPY[engine.types[name]]) for name in engine.inputs}
        results = {
            name: cuda.array(addresses[name], shape, NUMPY[engine.types[name]]) for name, shape in outputs.items()
        }
        scratch = cuda.array(scratch_address, (engine.device_memory_size_v2,), np.uint8)

        def run() -> None:
            scratch.fill(GARBAGE)
            for name, value in zip(results, engine.session.run(list(results), feeds), strict=True):
                results[name][...] = value

        cuda.later(run)
