# SPDX-License-Identifier: Apache-2.0
"""Generators that also return a value."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Steps(Generic[Item, Result]):
    """Iterates over the items of a generator; `result` is what the generator has returned when they have ended."""

    result: Result

    def __init__(self, generator: Generator[Item, None, Result]) -> None:
        self._generator = generator

    def __iter__(self) -> Iterator[Item]:
        self.result = yield from self._generator


def run_to_end(generator: Generator[Any, None, Result]) -> Result:
    """The value that a generator returns; its items are dropped."""
    steps = Steps(generator)
    for _ in steps:
        pass
    return steps.result
