# SPDX-License-Identifier: Apache-2.0
"""The profiles that an engine was built with, and which of them takes given shapes: asked before each run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]
Bounds = tuple[Shape, Shape]
"""Smallest and largest."""


class EngineProfiles:
    """The bounds of all profiles, read from the engine once."""

    def __init__(self, engine: Any, inputs: Sequence[str]) -> None:
        """engine: an ICudaEngine. inputs: names of its inputs."""
        self._bounds: list[dict[str, Bounds]] = []
        for number in range(engine.num_optimization_profiles):
            shapes = {
                name: [tuple(shape) for shape in engine.get_tensor_profile_shape(name, number)] for name in inputs
            }
            self._bounds.append({name: (smallest, largest) for name, (smallest, _, largest) in shapes.items()})
        # Inputs with the same bounds in every profile, as the layers' caches, have the same shape in nearly every run:
        # their shapes are compared with the bounds once.
        alike: dict[tuple[Bounds, ...], list[str]] = {}
        for name in inputs:
            alike.setdefault(tuple(bounds[name] for bounds in self._bounds), []).append(name)
        self._alike = list(alike.values())
        narrowest_first = sorted(range(len(self._bounds)), key=self._extent)
        self._choices = [
            (number, [self._bounds[number][names[0]] for names in self._alike]) for number in narrowest_first
        ]

    def __len__(self) -> int:
        return len(self._bounds)

    def narrowest_for(self, shapes: Mapping[str, Shape]) -> int | None:
        """Number of the profile with the smallest of the largest shapes that takes these of all inputs, if one does."""
        came = [{shapes[name] for name in names} for names in self._alike]
        for number, bounds in self._choices:
            if all(_within(shape, limits) for limits, group in zip(bounds, came, strict=True) for shape in group):
                return number
        return None

    def misfit(self, shapes: Mapping[str, Shape]) -> str:
        """What was expected and what came, of the inputs that no profile takes (else of all)."""
        alone = [name for name in shapes if not any(_within(shapes[name], bounds[name]) for bounds in self._bounds)]
        return "; ".join(
            f"expected {name} of {' or '.join('{} to {}'.format(*bounds[name]) for bounds in self._bounds)}, "
            f"got {shapes[name]}"
            for name in alone or shapes
        )

    def _extent(self, number: int) -> int:
        """Elements of the largest inputs."""
        return sum(math.prod(largest) for _, largest in self._bounds[number].values())


def _within(shape: Shape, bounds: Bounds) -> bool:
    smallest, largest = bounds
    return len(shape) == len(smallest) and all(map(_between, smallest, shape, largest))


def _between(low: int, size: int, high: int) -> bool:
    return low <= size <= high
