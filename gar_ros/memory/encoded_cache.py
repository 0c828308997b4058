# SPDX-License-Identifier: Apache-2.0
"""A cache of encoded frames, so that further questions about them cost no vision pass."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gar_ros.frame import Frame, askable
from gar_ros.memory.budget import MemoryBudget
from gar_ros.memory.fingerprint import fingerprint
from gar_ros.memory.keyframes import KeyframeMemory
from gar_ros.memory.prompted_image import PromptedImage
from gar_ros.region import Region

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import EncodedFrame
    from gar_ros.engine.engine import GarEngine

_Key = tuple[object, ...]


class EncodedMemory:
    """The encoded frames used last, by frame and regions. Further questions reuse their features and KV cache.

    Not thread-safe: only the thread that uses the engine may call it.
    """

    def __init__(
        self,
        engine: GarEngine,
        capacity: int,
        keyframes: KeyframeMemory | None = None,
        budget: MemoryBudget | None = None,
    ) -> None:
        """capacity: number of encoded frames kept. keyframes: where frames are looked up, and added when missing, so
        that all regions of a frame share one vision pass; None: each choice of regions is encoded by itself. budget:
        where frames and keyframes are counted; None: nowhere."""
        self.budget = budget
        if budget is not None:
            budget.add(self)
            if keyframes is not None:
                budget.add(keyframes)
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
        """The frame encoded with these regions, <PromptN> being regions[N]; from the cache where it is there.

        raise_if_cancelled: called between steps, raises GarError to stop. Raises GarError as `GarEngine.encode` does.
        """
        key = _key(frame, regions, max_tiles)
        if key not in self._kept:
            # Evict before encoding: the capacity also bounds the memory that is taken meanwhile.
            while len(self._kept) >= self._capacity:
                self._kept.popitem(last=False)
            self._kept[key] = self._shared(frame, regions, max_tiles, raise_if_cancelled) or self._engine.encode(
                frame.image, regions, max_tiles=max_tiles, raise_if_cancelled=raise_if_cancelled
            )
        self._kept.move_to_end(key)
        if self.budget is not None:
            self.budget.enforce()
        return self._kept[key]

    def all_prompted(
        self,
        frame: Frame,
        regions: Sequence[Region],
        max_tiles: int,
        raise_if_cancelled: Callable[[], None],
    ) -> Callable[[Sequence[Region]], EncodedFrame]:
        """A function that returns the frame encoded with some of these regions, <PromptN> being the N-th of them.

        regions: all regions of the frame that can be asked about; they are prompted together, so one vision pass and
        one KV cache of the image's tokens serve all of them. Raises GarError as `GarEngine.encode_image` does, the
        function as `GarEngine.from_features` does.
        """
        if self._keyframes is not None:
            return lambda some: self.get(frame, some, max_tiles, raise_if_cancelled)
        image = PromptedImage(self._engine, frame, regions, max_tiles, raise_if_cancelled)
        if self.budget is not None:
            self.budget.enforce()
        return image.encoded

    @property
    def prompts_all(self) -> bool:
        """Whether all regions of an image are prompted together, see `keyframes`."""
        return self._keyframes is not None

    def kept(self, frame: Frame, regions: Sequence[Region], max_tiles: int) -> EncodedFrame | None:
        """What `get` would return without encoding anything; None where it would have to. Doesn't count as a use."""
        found = self._kept.get(_key(frame, regions, max_tiles))
        if found is None and self._keyframes is not None:
            found = self._keyframes.find(frame, regions, max_tiles)
        return found

    @property
    def nbytes(self) -> int:
        """Size in bytes of what the frames hold and no keyframe does."""
        of_keyframes = self._keyframes.images() if self._keyframes is not None else set()
        return sum(
            frame.nbytes - (frame.image_nbytes if id(frame.features) in of_keyframes else 0)
            for frame in self._kept.values()
        )

    def forget_one(self) -> bool:
        """Forgets the frame used least recently, unless it is the only one."""
        if len(self._kept) < 2:
            return False
        self._kept.popitem(last=False)
        return True

    def _shared(
        self,
        frame: Frame,
        regions: Sequence[Region],
        max_tiles: int,
        raise_if_cancelled: Callable[[], None],
    ) -> EncodedFrame | None:
        """The frame encoded by way of a keyframe, made when missing; None when a region isn't one of the frame's."""
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


def _key(frame: Frame, regions: Sequence[Region], max_tiles: int) -> _Key:
    return (frame.frame_id, frame.stamp_ns, frame.number, max_tiles, *map(fingerprint, regions))
