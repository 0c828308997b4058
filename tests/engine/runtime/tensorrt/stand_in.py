# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for the GPU: CUDA's runtime on host memory, and a TensorRT whose engines run in ONNX Runtime on the CPU.

They are no proof that anything runs on a GPU. They hold the callers to what CUDA and TensorRT document: memory is
used only while it is allocated, copies go where their kind says, shapes stay within the active profile. The stream does
nothing until somebody waits for it: copies then read and write the host's memory as it is by then, which is the latest
that CUDA may. What they offer is compared with the real modules in test_real_modules.py.
"""

# The names are CUDA's and TensorRT's.
# ruff: noqa: N801, N802, N815

from __future__ import annotations

import ctypes
import json
from collections import Counter
from collections.abc import Callable
from enum import Enum, IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import numpy as np
import onnxruntime as ort

GARBAGE = 0xA5  # of memory that was never written or is freed


class StandInCuda:
    """In place of the module cuda.bindings.runtime."""

    class cudaError_t(IntEnum):
        cudaSuccess = 0
        cudaErrorMemoryAllocation = 2
        cudaErrorInsufficientDriver = 35
        cudaErrorNoDevice = 100
        cudaErrorNotReady = 600
        cudaErrorIllegalAddress = 700
        cudaErrorLaunchFailure = 719

    class cudaMemcpyKind(Enum):
        cudaMemcpyHostToDevice = 1
        cudaMemcpyDeviceToHost = 2
        cudaMemcpyDeviceToDevice = 3

    class cudaDeviceAttr(Enum):
        cudaDevAttrMemoryPoolsSupported = 115

    class cudaMemPoolAttr(Enum):
        cudaMemPoolAttrReleaseThreshold = 4

    cudaEventDisableTiming = 2
    cudaHostAllocDefault = 0

    def __init__(self, gpus: int = 1, pools: bool = True, limit: int = 1 << 40) -> None:
        """limit: bytes of the device."""
        self.gpus, self.pools, self.limit = gpus, pools, limit
        self.multiprocessors, self.total_memory = 16, 65_890_000_000
        self.sticky = self.cudaError_t.cudaSuccess
        """Once it is another one, all that is asked of the GPU fails with it."""
        self.reserved = 0
        """Bytes that the pool has taken from the system, freed or not."""
        self.threshold = 0
        self.memory: dict[int, np.ndarray] = {}  # of the device: address -> bytes, as they are when the stream is done
        self.pinned: dict[int, np.ndarray] = {}  # of the host, allocated by CUDA
        self.events: dict[int, int] = {}  # event -> how many operations of the stream come before it
        self.streams = 0  # created and not destroyed
        self.trimmed_to: int | None = None
        self._stream: list[Callable[[], None]] = []  # all that it was told; the first `_done` are done
        self._done = 0
        self.copies: Counter[str] = Counter()
        self.copied: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.STREAM = 77

    def cudaGetDeviceCount(self) -> tuple[Any, int]:
        none = self.cudaError_t.cudaErrorNoDevice
        return (self.cudaError_t.cudaSuccess, self.gpus) if self.gpus else (none, 0)

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, Any]:
        found = SimpleNamespace(name=b"Stand-in", major=8, minor=7)
        found.multiProcessorCount, found.totalGlobalMem = self.multiprocessors, self.total_memory
        return self.cudaError_t.cudaSuccess, found

    def cudaGetErrorString(self, error: Any) -> tuple[Any, bytes]:
        return self.cudaError_t.cudaSuccess, error.name.encode()

    def cudaDeviceGetAttribute(self, attr: Any, device: int) -> tuple[Any, int]:
        assert attr is self.cudaDeviceAttr.cudaDevAttrMemoryPoolsSupported
        return self.cudaError_t.cudaSuccess, int(self.pools)

    def cudaDeviceGetDefaultMemPool(self, device: int) -> tuple[Any, Any]:
        assert self.pools
        return self.cudaError_t.cudaSuccess, "pool"

    def cudaMemPoolSetAttribute(self, memPool: Any, attr: Any, value: Any) -> tuple[Any]:
        self.threshold = int(value)
        assert (memPool, attr) == ("pool", self.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold)
        return (self.sticky,)

    def cudaMemPoolTrimTo(self, memPool: Any, minBytesToKeep: int) -> tuple[Any]:
        assert memPool == "pool"
        self.trimmed_to = minBytesToKeep
        if not self.sticky:
            self.reserved = max(self.used, min(self.reserved, minBytesToKeep))
        return (self.sticky,)

    def cudaStreamCreate(self) -> tuple[Any, int]:
        self.streams += 1
        return self.cudaError_t.cudaSuccess, self.STREAM

    def cudaStreamDestroy(self, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and self.streams
        self.streams -= 1
        return (self.sticky,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and self.streams
        self.calls["synchronize"] += 1
        self._work(len(self._stream))
        if self.reserved > self.threshold:
            self.reserved = max(self.used, self.threshold)
        return (self.sticky,)

    def cudaEventCreateWithFlags(self, flags: int) -> tuple[Any, int]:
        assert flags == self.cudaEventDisableTiming
        event = max(self.events, default=1000) + 1
        self.events[event] = 0
        return self.cudaError_t.cudaSuccess, event

    def cudaEventRecord(self, event: int, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and event in self.events
        self.events[event] = len(self._stream)
        return (self.cudaError_t.cudaSuccess,)

    def cudaEventQuery(self, event: int) -> tuple[Any]:
        """The stream does one thing more while it is looked at."""
        if self.sticky or self.events[event] <= self._done:
            return (self.sticky,)
        self._work(self._done + 1)
        return (self.cudaError_t.cudaErrorNotReady,)

    def cudaEventSynchronize(self, event: int) -> tuple[Any]:
        if self.events[event] > self._done:
            self.calls["wait"] += 1
            self._work(self.events[event])
        return (self.sticky,)

    def cudaEventDestroy(self, event: int) -> tuple[Any]:
        del self.events[event]
        return (self.cudaError_t.cudaSuccess,)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, int]:
        assert flags == self.cudaHostAllocDefault
        piece = np.full(size, GARBAGE, np.uint8)
        self.pinned[piece.ctypes.data] = piece
        return self.cudaError_t.cudaSuccess, piece.ctypes.data

    def cudaFreeHost(self, ptr: int) -> tuple[Any]:
        self.pinned.pop(ptr)[:] = GARBAGE
        return (self.cudaError_t.cudaSuccess,)

    def cudaMallocAsync(self, size: int, hStream: int) -> tuple[Any, int | None]:
        assert self.pools and hStream == self.STREAM and self.streams
        return self._allocate(size)

    def cudaMalloc(self, size: int) -> tuple[Any, int | None]:
        assert not self.pools
        return self._allocate(size)

    def cudaFreeAsync(self, devPtr: int, hStream: int) -> tuple[Any]:
        assert self.pools and hStream == self.STREAM and self.streams
        return self._free(devPtr)

    def cudaFree(self, devPtr: int) -> tuple[Any]:
        """It takes memory of a pool, too."""
        return self._free(devPtr)

    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: Any, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and self.streams
        if self.sticky:
            return (self.sticky,)
        kinds = self.cudaMemcpyKind
        assert self.holds(dst, count) == (kind is not kinds.cudaMemcpyDeviceToHost)
        assert self.holds(src, count) == (kind is not kinds.cudaMemcpyHostToDevice)
        target, source = self._bytes(dst, count), self._bytes(src, count)
        if not (self._is_known(dst, count) and self._is_known(src, count)):
            self.calls["pageable"] += 1
        self.later(lambda: np.copyto(target, source))
        self.copies[kind.name] += 1
        self.copied[kind.name] += count
        return (self.cudaError_t.cudaSuccess,)

    def cudaMemcpy2DAsync(
        self, dst: int, dpitch: int, src: int, spitch: int, width: int, height: int, kind: Any, stream: int
    ) -> tuple[Any]:
        assert width <= min(dpitch, spitch)
        for row in range(height):
            self.cudaMemcpyAsync(dst + row * dpitch, src + row * spitch, width, kind, stream)
        return (self.sticky,)

    def cudaMemsetAsync(self, devPtr: int, value: int, count: int, stream: int) -> tuple[Any]:
        assert stream == self.STREAM and self.holds(devPtr, count)
        target = self._bytes(devPtr, count)
        self.later(lambda: target.fill(value))
        return (self.sticky,)

    def _allocate(self, size: int) -> tuple[Any, int | None]:
        assert size > 0
        if self.sticky:
            return self.sticky, None
        if self.used + size > self.limit:
            return self.cudaError_t.cudaErrorMemoryAllocation, None
        piece = np.full(size, GARBAGE, np.uint8)
        self.memory[piece.ctypes.data] = piece
        self.reserved = max(self.reserved, self.used)
        return self.cudaError_t.cudaSuccess, piece.ctypes.data

    def _free(self, address: int) -> tuple[Any]:
        piece = self.memory.pop(address)
        self.later(lambda: piece.fill(GARBAGE))
        return (self.sticky,)

    def later(self, operation: Callable[[], None]) -> None:
        """What the stream does after all that it was told before."""
        self._stream.append(operation)

    def _work(self, end: int) -> None:
        while self._done < end:
            operation = self._stream[self._done]
            self._stream[self._done] = lambda: None  # it keeps memory
            self._done += 1
            operation()

    def _is_known(self, address: int, size: int) -> bool:
        return any(_covers(begin, p, address, size) for begin, p in [*self.memory.items(), *self.pinned.items()])

    def _bytes(self, address: int, size: int) -> np.ndarray:
        """These bytes, in place. Pageable memory of the host is not kept: whoever hands it over has to."""
        for begin, piece in [*self.memory.items(), *self.pinned.items()]:
            if _covers(begin, piece, address, size):
                return piece[address - begin :][:size]
        return np.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(address))

    @property
    def used(self) -> int:
        """Bytes of the device that are allocated when the stream is done."""
        return sum(piece.nbytes for piece in self.memory.values())

    def holds(self, address: int, size: int) -> bool:
        """Whether these bytes lie in one piece of allocated memory."""
        return any(_covers(begin, piece, address, size) for begin, piece in self.memory.items())

    def array(self, address: int, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """The values there when the stream is done, in place."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        assert self.holds(address, max(1, size)), "not allocated"
        return self._bytes(address, size).view(dtype).reshape(shape)


def _covers(begin: int, piece: np.ndarray, address: int, size: int) -> bool:
    return begin <= address and address + size <= begin + piece.nbytes


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

    def Builder(self, logger: Any) -> Builder:
        return Builder(self, logger)

    def OnnxParser(self, network: Network, logger: Any) -> Parser:
        return Parser(network)

    def Runtime(self, logger: Any) -> Runtime:
        return Runtime(self, logger)


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
        self.limits: dict[Any, int] = {}
        self.timings = b""

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

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
        return Engine(self._trt, content, self._logger)


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

    def set_device_memory(self, memory: int, size: int) -> None:
        assert self._engine.trt.cuda.holds(memory, size) and size >= self._engine.device_memory_size_v2
        self._scratch = memory

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        assert stream_handle == self._engine.trt.cuda.STREAM
        self._profile, self._shapes = profile_index, {}
        self._engine.trt.switches.append(profile_index)
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine.profiles[self._profile][name]
        self._shapes[name] = tuple(shape)
        return all(a <= size <= b for a, size, b in zip(low, shape, high, strict=True))

    def set_tensor_address(self, name: str, memory: int) -> bool:
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
        cuda.calls["execute"] += 1
        if refusal := "enqueueV3 failed" if cuda.sticky else engine.trt.refusal:
            engine.logger.log(engine.trt.ILogger.ERROR, refusal)
            return False
        feeds = {
            name: cuda.array(self._addresses[name], self._shapes[name], NUMPY[engine.types[name]])
            for name in engine.inputs
        }
        results = {
            name: cuda.array(self._addresses[name], shape, NUMPY[engine.types[name]])
            for name, shape in self._results.items()
        }
        scratch = cuda.array(self._scratch, (engine.device_memory_size_v2,), np.uint8)

        def run() -> None:
            scratch.fill(GARBAGE)
            for name, value in zip(results, engine.session.run(list(results), feeds), strict=True):
                results[name][...] = value

        cuda.later(run)
        return True
