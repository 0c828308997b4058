# SPDX-License-Identifier: Apache-2.0
"""OpenVINO behind the runner protocol, for vision and prompts; short inputs of the decoder go to ONNX Runtime.

Both compute on the CPU and pass keys and values to each other in the host's memory. OpenVINO is the faster one where
there are many rows to multiply (tiles, prompts), ONNX Runtime where there are few (each generated token):
docs/performance.md has the numbers.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.model_dir.manifest import DECODER, VISION
from gar_ros.engine.runtime.failures import first_line
from gar_ros.engine.runtime.openvino_attention import fuse_attention
from gar_ros.engine.runtime.ort import OrtRuntime, misfit, session_error
from gar_ros.engine.runtime.protocol import DeviceTensor, Runner, join_on_host, on_host
from gar_ros.engine.runtime.tensorrt.profiles import Profile
from gar_ros.errors import ErrorCode, GarError

OPENVINO = "openvino"

LONG_INPUT = 12
"""Number of tokens from which OpenVINO runs the decoder: below, ONNX Runtime is as fast or faster."""

_TELEMETRY = "openvino_telemetry"

Feeds = Mapping[str, NDArray[Any] | DeviceTensor]
"""A graph's inputs by name."""

_log = logging.getLogger(__name__)


def find_openvino() -> ModuleType:
    """The package, imported without its telemetry. Raises GarError INVALID_REQUEST where it isn't installed."""
    try:
        # With openvino-telemetry beside it, which pip installs too, importing OpenVINO reports to its makers.
        with _hidden(_TELEMETRY):
            import openvino
    except ImportError as error:
        raise GarError(
            ErrorCode.INVALID_REQUEST, f"OpenVINO can't be used here: {first_line(error)}; run `pip install openvino`"
        ) from error
    return openvino


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Within it, importing the package fails as if it were not installed."""
    kept = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]  # as Python's import system documents
    try:
        yield
    finally:
        del sys.modules[package]
        if kept is not None:
            sys.modules[package] = kept


class OpenVinoTensor:
    """An output, in memory of its own that lives as long as it or a view of it."""

    def __init__(self, tensor: Any) -> None:
        """tensor: an openvino.Tensor that no later run writes to."""
        self._tensor = tensor

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(self._tensor.byte_size)

    def numpy(self) -> NDArray[Any]:
        """A view, not to be written to."""
        values: NDArray[Any] = self._tensor.data
        return values


class Standby:
    """ONNX Runtime, which takes over all graphs of a model once OpenVINO failed while it ran one.

    Where memory ends, OpenVINO 2026.4 leaves its outputs empty without an error, and later runs crash the process.
    """

    def __init__(self, runtime: OrtRuntime) -> None:
        self.serves = False
        self._runtime = runtime
        self._runners: dict[Path, Runner] = {}

    def take_over(self) -> None:
        """From now on."""
        self.serves = True
        _log.warning("OpenVINO failed: ONNX Runtime runs the model until it is loaded again")

    def load(self, graph: Path) -> Runner:
        """The graph's runner, loaded once. Raises GarError BAD_MODEL."""
        if graph not in self._runners:
            self._runners[graph] = self._runtime.load(graph)
        return self._runners[graph]

    def run(self, graph: Path, feeds: Feeds) -> Mapping[str, DeviceTensor]:
        """As `Runner.run`; arrays are not copied."""
        own = {name: value.numpy() if isinstance(value, OpenVinoTensor) else value for name, value in feeds.items()}
        return self.load(graph).run(own)


class OpenVinoRunner:
    """One compiled graph."""

    def __init__(self, openvino: ModuleType, compiled: Any, graph: Path, standby: Standby) -> None:
        """compiled: an openvino.CompiledModel. graph: its file."""
        self._tensor = openvino.Tensor
        self._compiled = compiled
        self._graph = graph
        self._standby = standby
        self.shapes = {port.any_name: _sizes(port.partial_shape) for port in compiled.inputs}
        """Of the inputs; a word stands for a size that may vary."""
        self._types = {port.any_name: port.element_type.to_dtype() for port in compiled.inputs}
        # An output has other names, too, where OpenVINO merged it with another value.
        self._outputs = [name for port in compiled.outputs for name in port.names]

    def run(self, feeds: Feeds) -> Mapping[str, DeviceTensor]:
        """See Runner. Raises GarError INTERNAL_ERROR with OpenVINO's reason; the graph stays usable."""
        if self._standby.serves:
            return self._standby.run(self._graph, feeds)
        try:
            return self._run(feeds)
        except Exception as error:  # RuntimeError, but TypeError and ValueError from its bindings
            raise session_error(self._graph.name, error, "OpenVINO") from error

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return np.dtype(self._types[name])

    def _run(self, feeds: Feeds) -> dict[str, DeviceTensor]:
        if feeds.keys() != self._types.keys():
            odd = sorted(feeds.keys() ^ self._types.keys())[0]
            raise ValueError(f"expected the inputs {', '.join(sorted(self._types))}; {odd} is not in both")
        # Each run has a request of its own, because a request writes its next outputs over its last ones.
        request = self._compiled.create_infer_request()
        arrays = {name: np.ascontiguousarray(on_host(value), self._types[name]) for name, value in feeds.items()}
        for name, array in arrays.items():
            request.set_tensor(name, self._tensor(array, shared_memory=True))
        try:
            request.infer()
            outputs = {name: request.get_tensor(name) for name in self._outputs}
            if not all(output.shape[0] for output in outputs.values()):  # the batch, tiles or regions
                raise MemoryError("OpenVINO left an output empty")
        except Exception:
            self._standby.take_over()
            raise
        return {name: OpenVinoTensor(output) for name, output in outputs.items()}


class PairedRunner:
    """A decoder that is loaded twice: one runner for long inputs, ONNX Runtime's for short ones."""

    def __init__(self, long: Runner, graph: Path, standby: Standby) -> None:
        self._long = long
        self._graph = graph
        self._standby = standby
        standby.load(graph)

    def run(self, feeds: Feeds) -> Mapping[str, DeviceTensor]:
        """See Runner. feeds: with `inputs_embeds` [B, S, H]; S decides."""
        if on_host(feeds["inputs_embeds"]).shape[1] >= LONG_INPUT:
            return self._long.run(feeds)
        return self._standby.run(self._graph, feeds)

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return self._long.type_of(name)


class OpenVinoRuntime:
    """Loads graphs for the CPU: the decoder in both runtimes, the others in OpenVINO alone."""

    def __init__(self, threads: int, profiles: Mapping[str, Sequence[Profile]] | None = None) -> None:
        """threads: 0 for all cores. profiles: as `OrtRuntime` takes them. Raises GarError INVALID_REQUEST where the
        package is not installed."""
        self._openvino = find_openvino()
        self._core = self._openvino.Core()
        self._threads = threads
        self._profiles = profiles or {}
        self._standby = Standby(OrtRuntime("cpu", threads, profiles=profiles))

    @property
    def provider(self) -> str:
        """As in PROVIDERS of select.py."""
        return OPENVINO

    @property
    def version(self) -> str:
        """Of OpenVINO."""
        return str(self._openvino.__version__)

    def load(self, graph: Path) -> Runner:
        """See Runtime."""
        runner = self._load(graph)
        if graph.name != DECODER:
            return runner
        # The first run rearranges the weights, which takes seconds: not while somebody waits for an answer.
        runner.run(_smallest(runner.shapes))
        return PairedRunner(runner, graph, self._standby)

    def join(self, parts: Sequence[NDArray[Any] | DeviceTensor]) -> NDArray[np.float32]:
        """See Runtime."""
        return join_on_host(parts)

    def on_full(self, forget: Callable[[], object]) -> None:
        """See Runtime; nothing of it is on a GPU."""

    def close(self) -> None:
        """See Runtime; compiled graphs go with the runners that have them."""

    def _load(self, graph: Path) -> OpenVinoRunner:
        try:
            model = self._core.read_model(str(graph))
            fuse_attention(self._openvino, model)
            compiled = self._core.compile_model(model, "CPU", self._properties(graph.name, block_of(model)))
            runner = OpenVinoRunner(self._openvino, compiled, graph, self._standby)
        except Exception as error:  # RuntimeError, but TypeError and ValueError from its bindings
            raise GarError(
                ErrorCode.BAD_MODEL, f"'{graph}' can't be loaded on {OPENVINO}: {first_line(error)}"
            ) from error
        if odd := misfit(runner.shapes, self._profiles.get(graph.name, ())):
            raise GarError(ErrorCode.BAD_MODEL, f"'{graph}' is not the graph that its manifest describes: {odd}")
        return runner

    def _properties(self, graph: str, block: int) -> dict[str, Any]:
        """How to compile a graph. block: of its weights, see `block_of`."""
        return {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self._threads,
            # Camera and planner need the cores as well: the system decides who runs where.
            "ENABLE_CPU_PINNING": False,
            # Released GAR computes in bfloat16. Where weights are rounded to int8 already, activations may be so too.
            "INFERENCE_PRECISION_HINT": "bf16" if graph == VISION and block else "f32",
            # Activations become int8 by blocks as large as those of the weights, as ONNX Runtime does it.
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": block,
        }


def _smallest(shapes: Mapping[str, Sequence[int | str]]) -> Feeds:
    """Inputs of a decoder of these shapes: zeros for `LONG_INPUT` tokens after nothing."""
    known = {"inputs_embeds": (1, LONG_INPUT), "position_ids": (1, LONG_INPUT), "logits_idx": (1,)}
    feeds = {}
    for name, sizes in shapes.items():
        given = [*known.get(name, (1,)), *sizes[len(known.get(name, (1,))) :]]
        feeds[name] = np.zeros([size if isinstance(size, int) else 0 for size in given])
    return feeds


def _sizes(shape: Any) -> list[int | str]:
    """A graph input's shape as numbers, and a word for each dynamic dimension."""
    return [size.get_length() if size.is_static else "any" for size in shape]


def block_of(model: Any) -> int:
    """Number of weights of an openvino.Model that share a scale; 0 where no weight has few bits.

    Weights of few bits are stored as [N, K / block, block].
    """
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type().get_type_name() in ("u4", "u8"):
            shape = node.get_output_shape(0)
            if len(shape) == 3:
                return int(shape[2])
    return 0
