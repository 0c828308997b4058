# SPDX-License-Identifier: Apache-2.0
"""Slices of arrays on a device, which are views and not copies."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import TypeVar

import numpy as np

T = TypeVar("T", bound="Sliced")


class Sliced:
    """A contiguous array in memory that others may have parts of, too."""

    def __init__(self, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """offset: bytes from the memory's begin."""
        self._offset = offset
        self.shape = shape
        self.dtype = dtype

    @abstractmethod
    def part(self: T, offset: int, shape: tuple[int, ...], dtype: np.dtype) -> T:
        """An array within this one. offset: bytes between their begins."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self: T) -> Iterator[T]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self: T, index: int | slice | None) -> T:
        """As NumPy along the first axis; slices without a step."""
        if index is None:
            return self.part(0, (1, *self.shape), self.dtype)
        row = math.prod(self.shape[1:]) * self.dtype.itemsize
        places = range(len(self))[index]
        if isinstance(places, int):
            return self.part(places * row, self.shape[1:], self.dtype)
        if places.step != 1:
            raise IndexError(f"expected a slice without a step, got {index}")
        return self.part(places.start * row, (len(places), *self.shape[1:]), self.dtype)
