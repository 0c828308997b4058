# SPDX-License-Identifier: Apache-2.0
"""The static KV cache: buffers for the model's whole context, into which runs write the keys and values of new tokens.

A cache is the beginning of a buffer. It is a value as in the other forms: what it holds stays while anybody has it. A
run extends it in its own buffer, over what longer caches have left there, when nobody has any of those: so questions
about one prefix, and the answers of a choice, take turns in one buffer. Otherwise the run gets a buffer of its own,
with a copy of the cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import ref

from numpy.typing import NDArray

from gar_ros.engine.kv_cache import PAST, PRESENT, CacheForm, JoinedForm, KvCache, SplitForm, Tensors, tensor_names
from gar_ros.engine.model_dir.manifest import KvForm, Sizes
from gar_ros.engine.runtime.protocol import DeviceTensor, InPlaceRunner, Runner, numbers_for
from gar_ros.errors import ErrorCode, GarError

KEYS_STEP = 256
"""A run reads keys up to a multiple of so many positions: the shapes of the graph's inputs change but seldom."""


@dataclass(frozen=True, eq=False)
class StaticCache(KvCache):
    """The first `length` positions of a buffer, whose tensors are `values`."""

    buffer: Buffer | None = None


class Buffer:
    """Keys and values of all positions. It exists as long as a cache in it."""

    def __init__(self, values: Tensors) -> None:
        """values: by the graph's input names, (1, kv_heads, max_positions, head_dim)."""
        self.values = values
        self._caches: list[ref[StaticCache]] = []

    def beginning(self, length: int) -> StaticCache:
        """The first `length` positions, which stay as they are while anybody has the returned cache."""
        cache = StaticCache(length, self.values, buffer=self)
        self._caches = [one for one in self._caches if one() is not None]
        self._caches.append(ref(cache))
        return cache

    def is_free_after(self, length: int) -> bool:
        """Whether nobody has a cache that is longer."""
        return all(cache is None or cache.length <= length for cache in (one() for one in self._caches))


class StaticForm:
    """See the module, CacheForm, and `Manifest.kv_cache`."""

    def __init__(self, sizes: Sizes, runner: InPlaceRunner) -> None:
        self._shape = (1, sizes.kv_heads, sizes.max_positions, sizes.head_dim)
        self._numbers = numbers_for(runner)
        names = tensor_names(sizes)
        self._inputs = [f"{PAST}{name}" for name in names]
        self._written = {f"{PRESENT}{name}": f"{PAST}{name}" for name in names}
        self._runner = runner
        self.empty = KvCache(0, {})

    def extend(
        self, past: KvCache, feeds: Mapping[str, NDArray[Any] | DeviceTensor], length: int
    ) -> tuple[KvCache, Mapping[str, DeviceTensor]]:
        """See CacheForm. Raises ValueError beyond the context: a GPU would write over other memory."""
        positions = self._shape[2]
        if length > positions:
            raise ValueError(f"expected at most {positions} positions, got {length}")
        buffer = self._buffer_for(past)
        keys = self._numbers(0, min(-(-length // KEYS_STEP) * KEYS_STEP, positions))
        outputs = self._runner.run_in_place({**feeds, "key_positions": keys, **buffer.values}, self._written)
        return buffer.beginning(length), outputs

    def beginning(self, cache: KvCache, length: int) -> KvCache:
        """See CacheForm. Nothing is copied."""
        buffer = _buffer(cache)
        return self.empty if buffer is None else buffer.beginning(length)

    def _buffer_for(self, past: KvCache) -> Buffer:
        """One that begins with `past`, and in which a run may write what follows."""
        own = _buffer(past)
        if own is not None and own.is_free_after(past.length):
            return own
        # What a run doesn't see has no weight, but must be a number: nothing times NaN is NaN.
        new = Buffer(self._runner.zeros_alike(self._inputs, self._shape))
        if past.length:
            for name, source in past.values.items():
                self._runner.copy_positions(source, new.values[name], past.length)
        return new


def _buffer(cache: KvCache) -> Buffer | None:
    return cache.buffer if isinstance(cache, StaticCache) else None


def cache_form(form: KvForm, sizes: Sizes, runner: Runner) -> CacheForm:
    """The form that a manifest names, for the decoder graph that `runner` runs.

    Raises GarError INVALID_REQUEST for a static cache where the runner can't write outputs over inputs.
    """
    if form != "static":
        return SplitForm(sizes, runner) if form == "split" else JoinedForm(sizes, runner)
    if not isinstance(runner, InPlaceRunner):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            "the decoder of this model folder has a static KV cache, which needs provider tensorrt, cuda or cpu; "
            "export the model again without --kv-cache static for any other",
        )
    return StaticForm(sizes, runner)
