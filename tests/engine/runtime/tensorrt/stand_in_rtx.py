# SPDX-License-Identifier: Apache-2.0
"""What TensorRT for RTX has beside the full TensorRT, as a stand-in: kernels that are compiled at run time."""

# The names are TensorRT's.

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda
from tests.engine.runtime.tensorrt.stand_in_tensorrt import Context, Engine, StandInTensorRt


class StandInRtx(StandInTensorRt):
    """In place of the module tensorrt_rtx."""

    __version__ = "1.7.1"
    __name__ = "tensorrt_rtx"

    class BuilderFlag(Enum):
        REQUIRE_USER_ALLOCATION = 1

    class DynamicShapesKernelSpecializationStrategy(Enum):
        LAZY = 0
        EAGER = 1
        NONE = 2

    class IRuntimeCache: ...

    def __init__(self, cuda: StandInCuda, environment: str = "driver 580") -> None:
        """environment: what compiled kernels are for."""
        super().__init__(cuda)
        self.environment = environment
        self.compiled: list[str] = []
        """Kernels that no cache had."""
        self.capturable = True

    def engine(self, content: bytes, logger: Any) -> RtxEngine:
        return RtxEngine(self, content, logger)


class RtxEngine(Engine):
    trt: StandInRtx

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig(self.trt)

    def create_execution_context(self, runtime_config: Any) -> RtxContext:
        assert isinstance(runtime_config, RuntimeConfig)
        return RtxContext(self, runtime_config)


class RuntimeConfig:
    def __init__(self, trt: StandInRtx) -> None:
        self._trt = trt
        self._cache: RuntimeCache | None = None
        self._strategy: Any = trt.ExecutionContextAllocationStrategy.STATIC
        self.dynamic_shapes_kernel_specialization_strategy: Any = trt.DynamicShapesKernelSpecializationStrategy.LAZY

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self._strategy = strategy

    def get_execution_context_allocation_strategy(self) -> Any:
        return self._strategy

    def create_runtime_cache(self) -> RuntimeCache:
        return RuntimeCache(self._trt.environment)

    def set_runtime_cache(self, cache: RuntimeCache) -> bool:
        self._cache = cache
        return True

    def get_runtime_cache(self) -> RuntimeCache | None:
        return self._cache


class RuntimeCache:
    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._kernels: list[str] = []

    def serialize(self) -> memoryview:
        return memoryview(json.dumps([self._environment, self._kernels]).encode())

    def deserialize(self, blob: Any) -> bool:
        environment, kernels = json.loads(bytes(blob))
        if environment != self._environment:
            return False
        self._kernels = kernels
        return True


class RtxContext(Context):
    """Compiles a kernel for each profile, when that runs first."""

    _engine: RtxEngine

    def __init__(self, engine: RtxEngine, config: RuntimeConfig) -> None:
        strategies = engine.trt.ExecutionContextAllocationStrategy
        assert config.get_execution_context_allocation_strategy() is strategies.USER_MANAGED
        none = engine.trt.DynamicShapesKernelSpecializationStrategy.NONE
        assert config.dynamic_shapes_kernel_specialization_strategy is none
        super().__init__(engine)
        cache = config.get_runtime_cache()
        self._known = [] if cache is None else cache._kernels

    def is_stream_capturable(self, stream: int) -> bool:
        assert stream == self._engine.trt.cuda.STREAM and self._shapes
        return self._engine.trt.capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        kernel = f"kernel of profile {self._profile}"
        if kernel not in self._known:
            self._known.append(kernel)
            self._engine.trt.compiled.append(kernel)
        return super().execute_async_v3(stream_handle)
