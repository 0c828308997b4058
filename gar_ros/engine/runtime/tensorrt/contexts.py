# SPDX-License-Identifier: Apache-2.0
"""Makes the execution contexts of one engine, as the full TensorRT and as TensorRT for RTX want it."""

from __future__ import annotations

from typing import Any

from gar_ros.engine.runtime.tensorrt.runtime_cache import RuntimeCache


class Contexts:
    """Execution contexts that work in memory that they are given.

    TensorRT for RTX compiles kernels while it runs. Of its strategies for shapes that vary, NONE is taken: one kernel
    for all shapes of a profile, compiled once. EAGER would stop a run for each new shape until its kernels are
    compiled, and a decoder whose cache grows has a new shape with each token. LAZY would compile them beside the
    robot's other work, and change to them at some later run, so that the same question could get another answer.
    """

    def __init__(self, trt: Any, engine: Any, cache: RuntimeCache | None) -> None:
        """trt: the module. engine: an ICudaEngine. cache: of its kernels, used by TensorRT for RTX alone."""
        self._trt = trt
        self._engine = engine
        self._cache = cache
        self._compiles = hasattr(trt, "IRuntimeCache")

    def make(self) -> Any:
        """An IExecutionContext without memory of its own; None where TensorRT fails to make one."""
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if not self._compiles:
            return self._engine.create_execution_context(strategy)
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        config.dynamic_shapes_kernel_specialization_strategy = self._trt.DynamicShapesKernelSpecializationStrategy.NONE
        if self._cache is not None:
            self._cache.attach(config)
        return self._engine.create_execution_context(config)

    def keep_kernels(self) -> None:
        """Writes what was compiled since the last time: to be called after runs that may have needed new kernels."""
        if self._compiles and self._cache is not None:
            self._cache.save()

    def close(self) -> None:
        """Frees the engine, and makes no more contexts."""
        self._engine = self._cache = None
