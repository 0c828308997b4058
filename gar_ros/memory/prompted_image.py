# SPDX-License-Identifier: Apache-2.0
"""An image that was encoded with all of its regions prompted, so that one vision pass serves any choice of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gar_ros.engine.cancel import CancelCheck
from gar_ros.frame import Frame
from gar_ros.region import Region

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import EncodedFrame
    from gar_ros.engine.engine import GarEngine


class PromptedImage:
    """Features and replay tokens of an image. Only the thread that uses the engine may call it."""

    def __init__(
        self,
        engine: GarEngine,
        frame: Frame,
        regions: Sequence[Region],
        max_tiles: int,
        raise_if_cancelled: CancelCheck,
    ) -> None:
        """regions: all that will be asked about. Raises GarError as `GarEngine.encode_image` does."""
        self._engine = engine
        self._places = {region.id: place for place, region in enumerate(regions)}
        self._image = engine.encode_image(
            frame.image, regions, max_tiles=max_tiles, raise_if_cancelled=raise_if_cancelled
        )

    def encoded(self, some: Sequence[Region]) -> EncodedFrame:
        """The frame encoded with some of its regions, <PromptN> being some[N]; what they share is computed once.

        Raises GarError as `GarEngine.from_features` does.
        """
        places = [self._places[region.id] for region in some]
        replays = [self._image.replay[place : place + 1] for place in places]
        return self._engine.from_features(self._image.features, some, replays, self._image.shared)

    @property
    def nbytes(self) -> int:
        """Size in bytes of the features and the KV cache of the image's tokens."""
        return self._image.features.nbytes + self._image.shared.nbytes
