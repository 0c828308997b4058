# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime behind the runner protocol."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from gar_ros.engine.runtime.failures import FULL, failure, first_line
from gar_ros.engine.runtime.huge_pages import use_huge_pages
from gar_ros.engine.runtime.make_room import MakeRoom
from gar_ros.engine.runtime.ort_device import OrtArray, OrtDevice
from gar_ros.engine.runtime.protocol import DeviceTensor, Rows, join_on_host, on_host
from gar_ros.engine.runtime.tensorrt.profiles import Profile, enclosing
from gar_ros.errors import ErrorCode, GarError, OutOfMemoryError

T = TypeVar("T")

EXECUTION_PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""Our name -> ONNX Runtime's providers, the wanted one first."""

_PROVIDER_OPTIONS = {
    # Else cuDNN times all its convolutions for each number of tiles that comes for the first time, in mid-run.
    "CUDAExecutionProvider": {
        "cudnn_conv_algo_search": "HEURISTIC",
        # Else each graph's memory grows by powers of two.
        "arena_extend_strategy": "kSameAsRequested",
    },
}
_STAYS_ON = {"cuda": "cuda"}
"""Our name of a provider -> ONNX Runtime's of the device that keeps what its graphs give."""

_HOST_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(uint8)": np.uint8,
}
_ERRORS_ONLY = 3
_FLOAT_ACTIVATIONS = ("session.qdq_matmulnbits_accuracy_level", "1")
"""In graphs for GPUs, whose few bits are weights alone: by default, the CPU would round activations to int8."""
_SOURCE = re.compile(r"/\S+\.(?:cc|h|cu):\d+ [^()]*\([^()]*\) ?")  # where in ONNX Runtime's sources

_BOUNDED_SPIN_SINCE = (1, 32)  # the first version that is known to have the setting
_SPIN_MICROSECONDS = "30"

_LARGE_WEIGHTS = 64 << 20
"""Bytes of a graph's files from which its weights are worth moving into huge pages: far beyond a processor's caches."""


class OrtRunner:
    """One graph in an InferenceSession; outputs stay on the session's device."""

    def __init__(
        self,
        session: ort.InferenceSession,
        device: str,
        graph: str = "the graph",
        make_room: MakeRoom | None = None,
        on_device: OrtDevice | None = None,
    ) -> None:
        """graph: its name in errors. make_room: of the GPU; None on the CPU. on_device: what keeps outputs on the
        device, in arrays that can be cut; None where the device is the host.

        Raises KeyError for an input of a type that no exported graph has.
        """
        self._on_device = on_device
        self._session = session
        self._device = device
        self._graph = graph
        self._make_room = make_room
        self._types = {value.name: _HOST_TYPES[value.type] for value in session.get_inputs()}
        self._outputs = [value.name for value in session.get_outputs()]

    def run(self, feeds: Mapping[str, NDArray[Any] | DeviceTensor]) -> dict[str, DeviceTensor]:
        """See Runner. Raises GarError INTERNAL_ERROR with ONNX Runtime's reason; the session stays usable but for a
        GpuLostError."""
        return self.run_in_place(feeds, {})

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return np.dtype(self._types[name])

    def run_in_place(
        self, feeds: Mapping[str, NDArray[Any] | DeviceTensor], written: Mapping[str, str]
    ) -> dict[str, DeviceTensor]:
        """See InPlaceRunner. Raises GarError as `run` does."""
        return self._tried(lambda: self._bound_run(feeds, written))

    def _tried(self, job: Callable[[], T]) -> T:
        return tried(self._graph, self._make_room, job)

    def zeros(self, name: str, shape: Sequence[int]) -> NDArray[Any] | OrtArray:
        """See InPlaceRunner."""
        zeros = np.zeros(shape, self._types[name])
        device = self._on_device
        return zeros if device is None else self._tried(lambda: device.upload(zeros, zeros.dtype))

    def zeros_alike(self, names: Sequence[str], shape: Sequence[int]) -> dict[str, NDArray[Any] | OrtArray]:
        """See InPlaceRunner."""
        return {name: self.zeros(name, shape) for name in names}

    def copy_positions(
        self, source: NDArray[Any] | DeviceTensor, target: NDArray[Any] | DeviceTensor, count: int
    ) -> None:
        """See InPlaceRunner."""
        device = self._on_device
        if device is not None and isinstance(source, OrtArray) and isinstance(target, OrtArray):
            self._tried(lambda: device.copy_positions(source, target, count))
            return
        array = cast(NDArray[Any], target)  # of `zeros`
        array[..., :count, :] = on_host(source)[..., :count, :]

    def _bound_run(
        self, feeds: Mapping[str, NDArray[Any] | DeviceTensor], written: Mapping[str, str]
    ) -> dict[str, DeviceTensor]:
        binding = self._session.io_binding()
        bound: dict[str, Any] = {}  # until the run has ended: a binding doesn't keep what it is given by address
        for name, value in feeds.items():
            if isinstance(value, np.ndarray):
                value = ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(value, self._types[name]))
            bound[name] = value
            if isinstance(value, OrtArray):
                value.bind_input(binding, name, self._device)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in self._outputs:
            target = bound[written[name]] if name in written else None
            if isinstance(target, OrtArray):
                target.bind_output(binding, name, self._device)
            elif target is not None:
                binding.bind_ortvalue_output(name, target)
            else:
                binding.bind_output(name, self._device)
        self._session.run_with_iobinding(binding)
        outputs: dict[str, Any] = dict(zip(self._outputs, binding.get_outputs(), strict=True))
        if self._on_device is not None:
            outputs = {name: OrtArray.whole(value) for name, value in outputs.items() if name not in written}
            outputs |= {name: bound[taken] for name, taken in written.items()}
        return outputs


class OrtRuntime:
    """Loads graphs with one execution provider."""

    def __init__(
        self,
        provider: str,
        threads: int,
        profiles: Mapping[str, Sequence[Profile]] | None = None,
    ) -> None:
        """provider: a key of EXECUTION_PROVIDERS. threads: of one operator; 0 for all cores. profiles: what each graph
        file must take, as its manifest says; None: whatever it takes."""
        self._provider = provider
        self._profiles = profiles or {}
        self._make_room = None if provider == "cpu" else MakeRoom()
        self._options = ort.SessionOptions()
        self._options.intra_op_num_threads = threads
        self._options.inter_op_num_threads = 1
        self._options.log_severity_level = _ERRORS_ONLY
        self._options.add_session_config_entry(*_FLOAT_ACTIVATIONS)
        for name, value in thread_settings(ort.__version__).items():
            self._options.add_session_config_entry(name, value)
        # What few arrays a GPU's session has on the host needn't stay allocated.
        self._options.enable_cpu_mem_arena = provider == "cpu"
        device = _STAYS_ON.get(provider)
        self._on_device = OrtDevice(device, self._open) if device else None

    @property
    def provider(self) -> str:
        """A key of EXECUTION_PROVIDERS."""
        return self._provider

    def load(self, graph: Path) -> OrtRunner:
        """See Runtime. Raises GarError BAD_MODEL also when ONNX Runtime quietly fell back to another provider."""
        wanted = EXECUTION_PROVIDERS[self._provider]
        try:
            session = self._open(str(graph))
            device = "cpu" if self._provider == "cpu" else "cuda"
            runner = OrtRunner(session, device, graph.name, self._make_room, self._on_device)
        except Exception as error:  # its exception types have no common base
            raise GarError(
                ErrorCode.BAD_MODEL, f"'{graph}' can't be loaded on {self._provider}: {first_line(error)}"
            ) from error
        if session.get_providers()[0] != wanted[0]:
            raise GarError(
                ErrorCode.BAD_MODEL, f"'{graph}' can't be loaded on {self._provider}: no such device works here"
            )
        shapes = {value.name: value.shape for value in session.get_inputs()}
        if odd := misfit(shapes, self._profiles.get(graph.name, ())):
            raise GarError(ErrorCode.BAD_MODEL, f"'{graph}' is not the graph that its manifest describes: {odd}")
        if self._provider == "cpu" and _file_bytes(graph) >= _LARGE_WEIGHTS:
            use_huge_pages()
        return runner

    def _open(self, graph: str | bytes) -> ort.InferenceSession:
        """A session for a file, or for a serialised graph."""
        providers = [(name, _PROVIDER_OPTIONS.get(name, {})) for name in EXECUTION_PROVIDERS[self._provider]]
        return ort.InferenceSession(graph, self._options, providers=providers)

    def join(self, parts: Sequence[NDArray[Any] | DeviceTensor]) -> Rows:
        """See Runtime. On the host it is float32."""
        device = self._on_device
        if device is None:
            return join_on_host(parts)
        kept = [part for part in parts if isinstance(part, (np.ndarray, OrtArray))]
        return tried("what joins features", self._make_room, lambda: device.join(kept))

    def on_full(self, forget: Callable[[], object]) -> None:
        """See Runtime; on the CPU requests are estimated before they take memory, and caches have their own limit."""
        if self._make_room is not None:
            self._make_room.ask(forget)

    def close(self) -> None:
        """See Runtime; sessions go with the runners that have them."""


def _file_bytes(graph: Path) -> int:
    """Size of a graph with its weights, whether they are in the file or beside it."""
    data = graph.with_name(graph.name + ".data")
    return graph.stat().st_size + (data.stat().st_size if data.exists() else 0)


def thread_settings(version: str) -> dict[str, str]:
    """Settings of the threads of one session, for this version of ONNX Runtime.

    A token is hundreds of short operators, between which waking a worker that sleeps costs more than letting it wait.
    But workers that wait for long burn the cores that camera and planner need, and make runs slower when these do
    work; so where the time can't be bounded they sleep at once.
    """
    settings = {"session.intra_op.allow_spinning": "0", "session.dynamic_block_base": "4"}
    if tuple(int(part) for part in version.split(".")[:2]) >= _BOUNDED_SPIN_SINCE:
        bounded = {"session.intra_op.spin_duration_us": _SPIN_MICROSECONDS, "session.force_spinning_stop": "1"}
        settings |= {"session.intra_op.allow_spinning": "1", **bounded}
    return settings


def tried(graph: str, make_room: MakeRoom | None, job: Callable[[], T]) -> T:
    """What the job returns. Where the GPU's memory is full, caches forget and it is tried once more.

    graph: what it runs, in errors. Raises `session_error`.
    """
    try:
        return _typed(graph, job)
    except OutOfMemoryError:
        if make_room is None or not make_room():
            raise
    return _typed(graph, job)  # not within the handler, whose traceback keeps what is to be freed


def _typed(graph: str, job: Callable[[], T]) -> T:
    try:
        return job()
    except Exception as error:  # ONNX Runtime's exception types have no common base
        raise session_error(graph, error) from error


def session_error(graph: str, error: Exception, library: str = "ONNX Runtime") -> GarError:
    """The error of a request whose graph could not be run. library: what was to run it."""
    reason = _SOURCE.sub("", first_line(error))
    return failure(f"{library} could not run {graph}", reason, FULL if isinstance(error, MemoryError) else 0)


def misfit(shapes: Mapping[str, Sequence[int | str | None]], profiles: Sequence[Profile]) -> str:
    """What of a graph's inputs is not as the profiles say; empty where all fits, or nothing is said.

    shapes: of the graph's inputs, by name; numbers where a size is fixed.
    """
    if not profiles:
        return ""
    expected = enclosing(tuple(profiles))
    if shapes.keys() != expected.keys():
        names = sorted(shapes.keys() ^ expected.keys())
        return f"expected {len(expected)} inputs, got {len(shapes)}; {names[0]} is not in both"
    for name, ranges in expected.items():
        bounds = list(zip(ranges.smallest, ranges.largest, strict=True))
        fixed = [(size, *bound) for size, bound in zip(shapes[name], bounds, strict=False) if isinstance(size, int)]
        if len(shapes[name]) != len(bounds) or not all(low <= size <= high for size, low, high in fixed):
            return f"expected {name} of {ranges.smallest} to {ranges.largest}, got {tuple(shapes[name])}"
    return ""
