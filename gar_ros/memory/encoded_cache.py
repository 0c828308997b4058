"""Encoded frames that may be asked about again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gar_ros.frame import Frame, askable
from gar_ros.memory.fingerprint import fingerprint
from gar_ros.memory.keyframes import KeyframeMemory
from gar_ros.region import Region

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import EncodedFrame
    from gar_ros.engine.engine import GarEngine

_Key = tuple[object, ...]


class EncodedMemory:
    """The last few encoded (frame, regions): further questions about them reuse features and KV cache.

    Belongs to one thread, the one that owns the engine.
    """

    def __init__(self, engine: GarEngine, capacity: int, keyframes: KeyframeMemory | None = None) -> None:
        """keyframes: asked first, and given what it lacks; None: every choice of regions is encoded for itself."""
        self._engine = engine
        self._capacity = capacity
        self._keyframes = keyframes
        self._kept: OrderedDict[_Key, EncodedFrame] = OrderedDict()

    def get(
        self,
        frame: Frame,
        regions: Sequence[Region],
        max_tiles: int,
        raise_if_cancelled: Callable[[], None],
    ) -> EncodedFrame:
        """Encodes the frame with these regions, or finds it. `raise_if_cancelled` may raise GarError to stop."""
        key = (frame.frame_id, frame.stamp_ns, max_tiles, *map(fingerprint, regions))
        if key not in self._kept:
            # Room first: two KV caches at once is what the capacity is there to prevent.
            while len(self._kept) >= self._capacity:
                self._kept.popitem(last=False)
            self._kept[key] = self._shared(frame, regions, max_tiles, raise_if_cancelled) or self._engine.encode(
                frame.image, regions, max_tiles=max_tiles, raise_if_cancelled=raise_if_cancelled
            )
        self._kept.move_to_end(key)
        return self._kept[key]

    def _shared(
        self,
        frame: Frame,
        regions: Sequence[Region],
        max_tiles: int,
        raise_if_cancelled: Callable[[], None],
    ) -> EncodedFrame | None:
        """From a keyframe of all the frame's regions, made where it lacks; None where regions aren't the frame's."""
        if self._keyframes is None:
            return None
        all_regions = askable(frame)
        known = {region.id for region in all_regions}
        if not all(region.id in known for region in regions):
            return None
        found = self._keyframes.find(frame, regions, max_tiles)
        if found is None:
            self._keyframes.add(frame, all_regions, max_tiles, raise_if_cancelled)
            found = self._keyframes.find(frame, regions, max_tiles)
        return found
