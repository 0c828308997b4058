# SPDX-License-Identifier: Apache-2.0
"""The KV cache as a value, and how decoder graphs take and return it; see static_cache.py for the third form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.model_dir.manifest import Sizes
from gar_ros.engine.runtime.protocol import DeviceTensor, Runner, nbytes_of, on_host

LONGEST_RECENT = 128
"""Number of positions of the recent part from which they are settled. Each token copies the recent part; settling
copies everything once."""

PAST, PRESENT = "past_key_values.", "present."
"""What the names of all layers' keys and values begin with, of inputs and of outputs."""

_RECENT = "recent."

Tensors = Mapping[str, NDArray[np.float32] | DeviceTensor]


@dataclass(frozen=True)
class KvCache:
    """Keys and values of the first `length` positions.

    values: arrays by the graph's input names, (1, kv_heads, .., positions, head_dim). What extends the cache makes
    another one: those of its positions are never modified. recent: how many of the positions are in the recent part of
    a split cache.
    """

    length: int
    values: Tensors  # of the graph's own type once they come from it
    recent: int = 0

    @cached_property
    def nbytes(self) -> int:
        """Size of all arrays in bytes."""
        return bytes_of([self])


def bytes_of(caches: Iterable[KvCache]) -> int:
    """Size of all arrays in bytes; a settled part that several caches have in common counts once."""
    return sum({id(value): nbytes_of(value) for cache in caches for value in cache.values.values()}.values())


class CacheForm(Protocol):
    """How one decoder graph takes keys and values."""

    empty: KvCache
    """A cache of no position."""

    def extend(
        self, past: KvCache, feeds: Mapping[str, NDArray[Any] | DeviceTensor], length: int
    ) -> tuple[KvCache, Mapping[str, DeviceTensor]]:
        """`past` extended to `length` positions by a run of the graph, and the run's outputs.

        feeds: the inputs but for those of the cache.
        """

    def beginning(self, cache: KvCache, length: int) -> KvCache:
        """The first `length` positions of a cache, which may be let go."""


class JoinedForm:
    """One tensor a layer for keys and one for values: past in, past and new tokens out. See `Manifest.kv_cache`."""

    def __init__(self, sizes: Sizes, runner: Runner) -> None:
        self._names = tensor_names(sizes)
        self._runner = runner
        nothing = np.zeros((1, sizes.kv_heads, 0, sizes.head_dim), np.float32)
        self.empty = KvCache(0, {f"{PAST}{name}": nothing for name in self._names})

    def extend(
        self, past: KvCache, feeds: Mapping[str, NDArray[Any] | DeviceTensor], length: int
    ) -> tuple[KvCache, Mapping[str, DeviceTensor]]:
        """See CacheForm."""
        outputs = self._runner.run({**feeds, **past.values})
        return KvCache(length, {f"{PAST}{name}": outputs[f"{PRESENT}{name}"] for name in self._names}), outputs

    def beginning(self, cache: KvCache, length: int) -> KvCache:
        """See CacheForm."""
        return KvCache(length, _first(cache.values, length))


class SplitForm:
    """A settled part that runs only read, and a short recent part: recent in, recent and new tokens out."""

    def __init__(self, sizes: Sizes, runner: Runner) -> None:
        self._names = tensor_names(sizes)
        self._runner = runner
        nothing = np.zeros((1, sizes.kv_heads, 1, 0, sizes.head_dim), np.float32)
        self._nothing = {f"{_RECENT}{name}": nothing for name in self._names}
        self.empty = KvCache(0, {**{f"{PAST}{name}": nothing for name in self._names}, **self._nothing})

    def extend(
        self, past: KvCache, feeds: Mapping[str, NDArray[Any] | DeviceTensor], length: int
    ) -> tuple[KvCache, Mapping[str, DeviceTensor]]:
        """See CacheForm."""
        outputs = self._runner.run({**feeds, **past.values})
        return self._extended(past, length, outputs), outputs

    def _extended(self, past: KvCache, length: int, outputs: Mapping[str, DeviceTensor]) -> KvCache:
        settled, recent = past.length - past.recent, length - past.length + past.recent
        present = {name: outputs[f"{PRESENT}{name}"] for name in self._names}
        old = {f"{PAST}{name}": past.values[f"{PAST}{name}"] for name in self._names}
        if recent < LONGEST_RECENT:
            return KvCache(length, {**old, **{f"{_RECENT}{name}": present[name] for name in self._names}}, recent)
        new: dict[str, NDArray[Any] | DeviceTensor] = {f"{PAST}{name}": present[name] for name in self._names}
        if settled:
            new = {name: np.concatenate([on_host(old[name]), on_host(new[name])], axis=-2) for name in old}
        return KvCache(length, {**new, **self._nothing})

    def beginning(self, cache: KvCache, length: int) -> KvCache:
        """See CacheForm."""
        recent = max(length - (cache.length - cache.recent), 0)
        settled = {name: value for name, value in cache.values.items() if name not in self._nothing}
        part = {name: cache.values[name] for name in self._nothing}
        return KvCache(length, {**_first(settled, length - recent), **_first(part, recent)}, recent)


def _first(values: Tensors, length: int) -> Tensors:
    """Copies of the first positions of arrays, in the host's memory."""
    return {name: on_host(value)[..., :length, :].copy() for name, value in values.items()}


def tensor_names(sizes: Sizes) -> list[str]:
    """What the names of all layers' keys and values end with."""
    return [f"{layer}.{kind}" for layer in range(sizes.layers) for kind in ("key", "value")]
