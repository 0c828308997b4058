# SPDX-License-Identifier: Apache-2.0
"""The protocol between the engine and whatever runs its graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


class DeviceTensor(Protocol):
    """A tensor where its runner keeps it. Given back to that runner as an input, it is not copied."""

    def numpy(self) -> NDArray[Any]:
        """Its values on the host."""


class DeviceRows(DeviceTensor, Protocol):
    """A tensor on the device that can be cut along its first axis, without a copy."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[DeviceRows]: ...

    def __getitem__(self, index: int | slice | None) -> DeviceRows:
        """As NumPy; slices without a step."""


Rows = NDArray[Any] | DeviceRows
"""What flows from one graph to the next: on the device where the runtime has one, else on the host."""


Numbers = Callable[[int, int], Rows]
"""Gives the int64 from the first number up to the second, without it."""


class Runner(Protocol):
    """One loaded graph."""

    def run(self, feeds: Mapping[str, NDArray[Any] | DeviceTensor]) -> Mapping[str, DeviceTensor]:
        """All outputs by name; inputs are never modified. Host arrays are cast to the graph's input types."""

    def type_of(self, name: str) -> np.dtype:
        """The type of the graph's input of this name."""


@runtime_checkable
class InPlaceRunner(Runner, Protocol):
    """A runner that can write outputs over inputs."""

    def run_in_place(
        self, feeds: Mapping[str, NDArray[Any] | DeviceTensor], written: Mapping[str, str]
    ) -> Mapping[str, DeviceTensor]:
        """As `run`, but some outputs are written where an input of the same shape is, which changes.

        written: those outputs with their inputs. In the feeds these are tensors of `zeros`.
        """

    def zeros(self, name: str, shape: Sequence[int]) -> NDArray[Any] | DeviceTensor:
        """Zeros for the input of this name, in memory that runs may write to."""

    def zeros_alike(self, names: Sequence[str], shape: Sequence[int]) -> Mapping[str, NDArray[Any] | DeviceTensor]:
        """As `zeros`, for inputs of one type; on a device in one piece of memory, which goes back as a whole."""

    def copy_positions(
        self, source: NDArray[Any] | DeviceTensor, target: NDArray[Any] | DeviceTensor, count: int
    ) -> None:
        """Copies the first positions, along the last axis but one, from one tensor of `zeros` to another."""


@runtime_checkable
class AsyncRunner(Runner, Protocol):
    """A runner whose `run` returns before its device has run the graph."""

    def fetch(self, tensor: DeviceTensor) -> Callable[[], NDArray[Any]]:
        """Begins to copy an output to the host; the returned function waits for its values, but for no later run."""

    def numbers(self, start: int, stop: int) -> DeviceRows:
        """The int64 from `start` to `stop` - 1, on the device; seldom is anything copied there."""


class Runtime(Protocol):
    """Loads graphs for one device."""

    @property
    def provider(self) -> str:
        """What it runs on, as in PROVIDERS of select.py."""

    def load(self, graph: Path) -> Runner:
        """Raises GarError BAD_MODEL when the file is not a graph that can be run here."""

    def join(self, parts: Sequence[NDArray[Any] | DeviceTensor]) -> Rows:
        """A copy of all parts one after another along their first axis, where its graphs want it; one or more parts."""

    def on_full(self, forget: Callable[[], object]) -> None:
        """Where a GPU's memory is full, `forget` empties caches before the second and last try, in the thread that runs
        the graph. forget: a method of an object that is kept elsewhere."""

    def close(self) -> None:
        """Gives the device's memory back. Neither it nor its runners may be used afterwards."""


def numbers_for(runner: Runner) -> Numbers:
    """How positions and rows are given to a runner: int64, on the device where it has one."""
    return runner.numbers if isinstance(runner, AsyncRunner) else _numbers_on_host


def _numbers_on_host(start: int, stop: int) -> NDArray[np.int64]:
    return np.arange(start, stop, dtype=np.int64)


def nbytes_of(tensor: NDArray[Any] | DeviceTensor) -> int:
    """Size in bytes of a tensor, wherever it is; nothing is copied where its type tells it."""
    if isinstance(tensor, np.ndarray):
        return tensor.nbytes
    size = getattr(tensor, "nbytes", None)
    if size is None:
        of_onnx = getattr(tensor, "tensor_size_in_bytes", None)  # ONNX Runtime's OrtValue
        size = of_onnx() if of_onnx is not None else tensor.numpy().nbytes
    return int(size)


def on_host(rows: NDArray[Any] | DeviceTensor) -> NDArray[Any]:
    """The values, taken from the device if they are there."""
    return rows if isinstance(rows, np.ndarray) else rows.numpy()


def join_on_host(parts: Sequence[NDArray[Any] | DeviceTensor]) -> NDArray[np.float32]:
    """`Runtime.join` for runtimes whose features pass through the host: float32."""
    return np.concatenate([on_host(part) for part in parts], dtype=np.float32)
