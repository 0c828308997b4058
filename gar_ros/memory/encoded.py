"""Encoded frames that may be asked about again."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gar_ros.memory.frames import Frame
from gar_ros.region import Region

if TYPE_CHECKING:
    from gar_ros.engine.engine import EncodedFrame, GarEngine

_Key = tuple[object, ...]


class EncodedMemory:
    """The last few encoded (frame, regions): further questions about them reuse features and KV cache.

    Belongs to one thread, the one that owns the engine.
    """

    def __init__(self, engine: GarEngine, capacity: int) -> None:
        self._engine = engine
        self._capacity = capacity
        self._kept: OrderedDict[_Key, EncodedFrame] = OrderedDict()

    def get(self, frame: Frame, regions: Sequence[Region], max_tiles: int, check: Callable[[], None]) -> EncodedFrame:
        """Encodes the frame with these regions, or finds it. `check` may raise GarError to stop."""
        key = (frame.frame_id, frame.stamp_ns, max_tiles, *map(_fingerprint, regions))
        if key not in self._kept:
            # Room first: two KV caches at once is what the capacity is there to prevent.
            while len(self._kept) >= self._capacity:
                self._kept.popitem(last=False)
            self._kept[key] = self._engine.encode(frame.image, regions, max_tiles=max_tiles, check=check)
        self._kept.move_to_end(key)
        return self._kept[key]


def _fingerprint(region: Region) -> _Key:
    """What the model sees of a region: its pixels, not its name."""
    x0, y0, x1, y1 = region.box
    packed = np.packbits(region.mask[y0:y1, x0:x1])
    return region.box, hashlib.blake2b(packed.tobytes(), digest_size=16).digest()
