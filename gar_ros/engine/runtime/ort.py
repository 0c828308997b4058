# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime behind the runner protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gar_ros.engine.runtime.protocol import DeviceTensor, join_on_host
from gar_ros.errors import ErrorCode, GarError

EXECUTION_PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt-ort": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""Our name -> ONNX Runtime's providers, the wanted one first."""

ProviderOptions = dict[str, str]
"""Names and values as ONNX Runtime documents them for an execution provider."""

_HOST_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
}
_ERRORS_ONLY = 3


class OrtRunner:
    """One graph in an InferenceSession; outputs stay on the session's device."""

    def __init__(self, session: ort.InferenceSession, device: str) -> None:
        self._session = session
        self._device = device
        self._types = {value.name: _HOST_TYPES[value.type] for value in session.get_inputs()}
        self._outputs = [value.name for value in session.get_outputs()]

    def run(self, feeds: Mapping[str, NDArray[Any] | DeviceTensor]) -> dict[str, DeviceTensor]:
        """See Runner."""
        binding = self._session.io_binding()
        bound = []  # until the run has ended: ONNX Runtime before 1.30 reads an array's memory without holding it
        for name, value in feeds.items():
            if isinstance(value, np.ndarray):
                value = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value, self._types[name]))
            bound.append(value)
            binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            binding.bind_output(name, self._device)
        self._session.run_with_iobinding(binding)
        return dict(zip(self._outputs, binding.get_outputs(), strict=True))


class OrtRuntime:
    """Loads graphs with one execution provider."""

    def __init__(self, provider: str, threads: int, options_of: Callable[[str], ProviderOptions] | None = None) -> None:
        """provider: a key of EXECUTION_PROVIDERS. threads: of one operator; 0 for all cores.

        options_of: gives the wanted execution provider's options for a graph file.
        """
        self._provider = provider
        self._options_of = options_of
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.log_severity_level = _ERRORS_ONLY
        # Idle workers would burn the cores that camera and planner need.
        self._options.add_session_config_entry("session.intra_op.allow_spinning", "0")

    @property
    def provider(self) -> str:
        """A key of EXECUTION_PROVIDERS."""
        return self._provider

    def load(self, graph: Path) -> OrtRunner:
        """See Runtime. Raises GarError BAD_MODEL also when ONNX Runtime quietly fell back to another provider."""
        wanted = EXECUTION_PROVIDERS[self._provider]
        try:
            options = self._options_of(graph.name) if self._options_of else {}
            providers = [(wanted[0], options), *wanted[1:]]
            session = ort.InferenceSession(str(graph), self._options, providers=providers)
        except Exception as error:  # its exception types have no common base
            reason = str(error).strip().splitlines()[0]
            raise GarError(ErrorCode.BAD_MODEL, f"'{graph}' can't be loaded on {self._provider}: {reason}") from error
        if session.get_providers()[0] != wanted[0]:
            raise GarError(
                ErrorCode.BAD_MODEL, f"'{graph}' can't be loaded on {self._provider}: no such device works here"
            )
        return OrtRunner(session, "cpu" if self._provider == "cpu" else "cuda")

    def join(self, parts: Sequence[NDArray[Any] | DeviceTensor]) -> NDArray[np.float32]:
        """See Runtime."""
        return join_on_host(parts)
