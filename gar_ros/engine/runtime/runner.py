"""The protocol between the engine and whatever runs its graphs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray


class DeviceTensor(Protocol):
    """A tensor where its runner keeps it. Given back to that runner as an input, it is not copied."""

    def numpy(self) -> NDArray[Any]:
        """Its values on the host."""


class Runner(Protocol):
    """One loaded graph."""

    def run(self, feeds: Mapping[str, NDArray[Any] | DeviceTensor]) -> Mapping[str, DeviceTensor]:
        """All outputs by name; inputs are never modified. Host arrays are cast to the graph's input types."""


class Runtime(Protocol):
    """Loads graphs for one device."""

    @property
    def provider(self) -> str:
        """What it runs on, as in PROVIDERS of choose.py."""

    def load(self, graph: Path) -> Runner:
        """Raises GarError BAD_MODEL when the file is not a graph that can be run here."""
