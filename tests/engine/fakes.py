# SPDX-License-Identifier: Apache-2.0
"""What stands in for a runner's tensors."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


class HostTensor:
    """A DeviceTensor in host memory that nobody may change."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._values = values
        self._values.setflags(write=False)

    def numpy(self) -> NDArray[Any]:
        """Its values."""
        return self._values
