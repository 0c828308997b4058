# SPDX-License-Identifier: Apache-2.0
"""Encodes tiles to features, with a cache: a tile with the same pixels and mask is not encoded again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gar_ros.engine.cancel import CancelCheck
from gar_ros.engine.in_threads import in_threads
from gar_ros.engine.model_dir.manifest import TileRule
from gar_ros.engine.runtime.protocol import DeviceTensor, Rows, Runner, join_on_host
from gar_ros.engine.tiling import normalise

CACHED_TILES = 256
"""Most tiles that are cached, whatever their size: those of the newest 15 images of 17 tiles."""

_Key = bytes
_Join = Callable[[Sequence[NDArray[Any] | DeviceTensor]], Rows]


class TileEncoder:
    """The vision graph with a bounded cache that forgets the least recently used tiles first.

    It serves questions about other regions of an image that was asked about lately: most of its tiles are the same.
    The cache is exact, since a tile's features depend on nothing but the pixels and the mask of that tile.
    """

    def __init__(
        self,
        runner: Runner,
        rule: TileRule,
        cache_bytes: int,
        tiles_per_run: int,
        join: _Join = join_on_host,
        threads: int = 1,
    ) -> None:
        """runner: the vision graph, which gets pixels where it takes uint8, else normalised ones. cache_bytes: size of
        all cached features. tiles_per_run: number of tiles in one run of the graph; with 1, features don't depend on
        the other tiles of the run even in their rounding. join: the runtime's, which decides where features are kept
        (host or device). threads: of the host, for the keys of the cache; 0 for all cores."""
        self._runner = runner
        self._rule = rule
        self._cache_bytes = cache_bytes
        self._tiles_per_run = tiles_per_run
        self._join = join
        self._threads = threads
        self._takes_pixels = runner.type_of("pixel_values") == np.uint8
        self._cache: OrderedDict[_Key, Rows] = OrderedDict()
        self.encoded_tiles = 0
        """Number of tiles that went through the graph so far."""

    def encode(self, pixels: NDArray[np.uint8], inside: NDArray[np.bool_], raise_if_cancelled: CancelCheck) -> Rows:
        """Features (T, g * g, H) of T tiles.

        pixels: (T, 3, S, S) uint8. inside: (T, S, S) bool, the union of the regions' masks. raise_if_cancelled: called
        before each run of the graph.
        """
        keys = in_threads(_key, list(zip(pixels, inside, strict=True)), self._threads)
        features = {key: self._cache[key] for key in keys if key in self._cache}
        missing = {key: index for index, key in enumerate(keys) if key not in features}
        indexes = list(missing.values())
        for start in range(0, len(indexes), self._tiles_per_run):
            raise_if_cancelled()
            batch = indexes[start : start + self._tiles_per_run]
            encoded = self._run(pixels[batch], inside[batch])
            # Copies: a view would keep the whole batch in memory for as long as one of its tiles is cached.
            features.update((keys[index], self._join([encoded[row : row + 1]])) for row, index in enumerate(batch))
        for key in keys:
            self._keep(key, features[key])
        return self._join([features[key] for key in keys])

    @property
    def nbytes(self) -> int:
        """Size in bytes of the cached features."""
        return sum(features.nbytes for features in list(self._cache.values()))

    def forget_one(self) -> bool:
        """Forgets the tile that was used least recently; False where only one is left."""
        if len(self._cache) < 2:
            return False
        self._cache.popitem(last=False)
        return True

    def forget_most(self) -> None:
        """Forgets all tiles but one."""
        while self.forget_one():
            pass

    def _run(self, pixels: NDArray[np.uint8], inside: NDArray[np.bool_]) -> Rows:
        self.encoded_tiles += len(pixels)
        values = pixels if self._takes_pixels else normalise(pixels, self._rule.mean, self._rule.std)
        feeds: dict[str, NDArray[Any] | DeviceTensor] = {"pixel_values": values, "mask_values": inside[:, None]}
        return self._join([self._runner.run(feeds)["image_features"]])

    def _keep(self, key: _Key, features: Rows) -> None:
        capacity = min(self._cache_bytes // features.nbytes, CACHED_TILES)
        self._cache[key] = features
        self._cache.move_to_end(key)
        while len(self._cache) > capacity:
            self._cache.popitem(last=False)


def _key(tile: tuple[NDArray[np.uint8], NDArray[np.bool_]]) -> _Key:
    pixels, inside = tile
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
    digest.update(np.packbits(inside).data)
    return digest.digest()
