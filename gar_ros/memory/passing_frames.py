# SPDX-License-Identifier: Apache-2.0
"""Encoded frames of images that are looked at once, beside the cache of those that are asked about again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gar_ros.engine.cancel import CancelCheck
from gar_ros.frame import Frame, askable
from gar_ros.memory.encoded_cache import EncodedMemory
from gar_ros.memory.prompted_image import PromptedImage
from gar_ros.region import Region

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import EncodedFrame
    from gar_ros.engine.engine import GarEngine


class PassingFrames:
    """Encodes image after image without pushing what planners ask about out of the cache.

    Only the present choice of regions is held, with the features of its image where all regions are prompted together.
    What the cache has is taken from there. Not thread-safe: only the thread that uses the engine may call it.
    """

    def __init__(self, engine: GarEngine, encoded: EncodedMemory) -> None:
        """encoded: the cache, with the budget in which this counts too."""
        self._engine, self._encoded = engine, encoded
        self._image: PromptedImage | None = None
        self._number = self._max_tiles = 0  # of the image
        self._ids: tuple[str, ...] = ()
        self._frame: EncodedFrame | None = None
        if encoded.budget is not None:
            encoded.budget.add(self)

    def has(self, frame: Frame, region_ids: tuple[str, ...]) -> bool:
        """Whether the frame is encoded with these regions now."""
        return self._frame is not None and (frame.number, region_ids) == (self._number, self._ids)

    def get(
        self, frame: Frame, regions: Sequence[Region], max_tiles: int, raise_if_cancelled: CancelCheck
    ) -> EncodedFrame:
        """The frame encoded with these regions, <PromptN> being regions[N].

        raise_if_cancelled: called between steps, raises GarError to stop. Raises GarError as `GarEngine.encode` does.
        """
        ids = tuple(region.id for region in regions)
        self._turn_to(frame, max_tiles)
        if self._frame is None or self._ids != ids:
            self._frame = None  # before encoding: two KV caches would be held at a time
            kept = self._encoded.kept(frame, regions, max_tiles)
            self._frame = kept or self._encode(frame, regions, max_tiles, raise_if_cancelled)
            self._ids = ids
        if self._encoded.budget is not None:
            self._encoded.budget.enforce()
        return self._frame

    def some(
        self, frame: Frame, regions: Sequence[Region], max_tiles: int, raise_if_cancelled: CancelCheck
    ) -> EncodedFrame:
        """As `get`, with all regions of the image prompted: one vision pass serves any choice of them. Not held."""
        self._turn_to(frame, max_tiles)
        self._frame = None
        return self._of_image(frame, regions, max_tiles, raise_if_cancelled)

    def forget(self) -> None:
        """Holds nothing any more."""
        self._image = self._frame = None
        self._number = 0

    @property
    def holds(self) -> bool:
        """Whether something is held; may be read from any thread."""
        return self._frame is not None or self._image is not None

    @property
    def nbytes(self) -> int:
        """Size in bytes of what is held."""
        if self._frame is not None:
            return self._frame.nbytes
        return self._image.nbytes if self._image is not None else 0

    def forget_one(self) -> bool:
        """False: there is only one."""
        return False

    def _encode(
        self, frame: Frame, regions: Sequence[Region], max_tiles: int, raise_if_cancelled: CancelCheck
    ) -> EncodedFrame:
        if self._encoded.prompts_all:
            return self._of_image(frame, regions, max_tiles, raise_if_cancelled)
        return self._engine.encode(frame.image, regions, max_tiles=max_tiles, raise_if_cancelled=raise_if_cancelled)

    def _of_image(
        self, frame: Frame, regions: Sequence[Region], max_tiles: int, raise_if_cancelled: CancelCheck
    ) -> EncodedFrame:
        if self._image is None:
            self._image = PromptedImage(self._engine, frame, askable(frame), max_tiles, raise_if_cancelled)
        return self._image.encoded(regions)

    def _turn_to(self, frame: Frame, max_tiles: int) -> None:
        if (self._number, self._max_tiles) != (frame.number, max_tiles):
            self.forget()
            self._number, self._max_tiles = frame.number, max_tiles
