# SPDX-License-Identifier: Apache-2.0
"""What stands in for runners and their tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class HostTensor:
    """A DeviceTensor in host memory that nobody may change."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self._values.setflags(write=False)

    def numpy(self) -> NDArray[Any]:
        """Its values."""
        return self._values


class WritingRunner:
    """A decoder graph that writes the positions of its tokens, and `mark`, as keys and values in place.

    read: the positions of the keys that each run was to read. made: positions of each tensor of keys that it was asked
    for. copied: positions in each copy of a tensor.
    """

    def __init__(self) -> None:
        self.mark = 0.0
        self.error: Exception | None = None
        """Raised by runs after they have written."""
        self.read: list[NDArray[np.int64]] = []
        self.made: list[int] = []
        self.copied: list[int] = []

    def run(self, feeds: Mapping[str, Any]) -> dict[str, HostTensor]:
        raise AssertionError("expected a run in place")

    def type_of(self, name: str) -> np.dtype:
        """See Runner."""
        return np.dtype(np.float32)

    def run_in_place(self, feeds: Mapping[str, Any], written: Mapping[str, str]) -> dict[str, HostTensor]:
        """See InPlaceRunner."""
        self.read.append(feeds["key_positions"])
        positions = feeds["position_ids"][0]
        for name in written.values():
            feeds[name][0, :, positions] = (positions + self.mark)[:, None, None]
        if self.error is not None:
            raise self.error
        return {}

    def zeros(self, name: str, shape: Sequence[int]) -> NDArray[Any]:
        """See InPlaceRunner."""
        if name.endswith("key"):
            self.made.append(shape[2])
        return np.zeros(shape, np.float32)

    def zeros_alike(self, names: Sequence[str], shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        """See InPlaceRunner."""
        return {name: self.zeros(name, shape) for name in names}

    def copy_positions(self, source: Any, target: Any, count: int) -> None:
        """See InPlaceRunner."""
        self.copied.append(count)
        target[..., :count, :] = source[..., :count, :]
