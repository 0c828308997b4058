# SPDX-License-Identifier: Apache-2.0
"""Keyframes: features of past images and replay tokens of their regions, in a bounded memory.

A keyframe is encoded once with all its regions prompted; any of them can then be asked about without a vision pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gar_ros.frame import Frame
from gar_ros.memory.fingerprint import Fingerprint, fingerprint
from gar_ros.region import Region

if TYPE_CHECKING:
    from gar_ros.engine.encoded_frame import EncodedFrame, SharedPrefix
    from gar_ros.engine.engine import GarEngine
    from gar_ros.engine.runtime.protocol import Rows

CancelCheck = Callable[[], None]


@dataclass(frozen=True)
class Bounds:
    """Bounds of the memory.

    per_track: number of keyframes in which one region's replay tokens are kept. total_bytes: size of all features and
    replay tokens. age_ns: largest difference of a keyframe's stamp from the stamp of the last one made, nanoseconds.
    """

    per_track: int
    total_bytes: int
    age_ns: int


@dataclass(frozen=True)
class Usage:
    """What is kept, in numbers. tracks: different regions. features: regions in all keyframes. bytes: of all arrays."""

    keyframes: int = 0
    tracks: int = 0
    features: int = 0
    bytes: int = 0


@dataclass(eq=False)
class _Feature:
    """One region in one keyframe. replay: its replay tokens (1, g * g, H). uses: number of times they were used."""

    region: Region
    fingerprint: Fingerprint
    replay: Rows
    uses: int = 0


@dataclass(eq=False)
class _Keyframe:
    """One encoded image. image: features (T, g * g, H) of its thumbnail and tiles. shared: what questions about any of
    its regions begin with. features: regions by their ids."""

    stamp_ns: int
    key: tuple[str, int, int, int]
    image: Rows
    shared: SharedPrefix
    features: dict[str, _Feature] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Size in bytes of features and replay tokens."""
        return int(self.image.nbytes) + sum(int(feature.replay.nbytes) for feature in self.features.values())


class KeyframeMemory:
    """Keyframes whose regions can be asked about without a vision pass.

    Not thread-safe: only the thread that uses the engine may call it; `usage` may be read from any thread.

    Beyond the bounds the least useful features are forgotten first: those asked about least often, among equals those
    of the oldest stamp. The last features of a region are kept as long as others can be forgotten instead.
    """

    def __init__(self, engine: GarEngine, bounds: Bounds) -> None:
        self._engine = engine
        self._bounds = bounds
        self._keyframes: list[_Keyframe] = []
        self.usage = Usage()

    def add(self, frame: Frame, regions: Sequence[Region], max_tiles: int, raise_if_cancelled: CancelCheck) -> None:
        """Makes a keyframe: encodes a frame with all its regions prompted.

        raise_if_cancelled: called between steps, raises GarError to stop. Raises GarError as `GarEngine.encode_image`.
        """
        encoded = self._engine.encode_image(
            frame.image, regions, max_tiles=max_tiles, raise_if_cancelled=raise_if_cancelled
        )
        key = _key(frame, max_tiles)
        self._keyframes = [keyframe for keyframe in self._keyframes if keyframe.key != key]
        keyframe = _Keyframe(frame.stamp_ns, key, encoded.features, encoded.shared)
        for index, region in enumerate(regions):
            # A copy: a view would keep the replay of all regions in memory for as long as one of them is kept.
            replay = self._engine.join([encoded.replay[index : index + 1]])
            keyframe.features[region.id] = _Feature(region, fingerprint(region), replay)
        self._keyframes.append(keyframe)
        self._shrink()

    def find(self, frame: Frame, regions: Sequence[Region], max_tiles: int) -> EncodedFrame | None:
        """The frame encoded with these regions; None when it is no keyframe or lacks the features of a region."""
        key = _key(frame, max_tiles)
        for keyframe in self._keyframes:
            if keyframe.key == key:
                return self._encoded_frame(keyframe, regions)
        return None

    def clear(self) -> None:
        """Forgets all keyframes."""
        self._keyframes = []
        self._count()

    @property
    def nbytes(self) -> int:
        """Size in bytes of all features and replay tokens, and of the KV caches that frames of an image share."""
        return self.usage.bytes + sum(keyframe.shared.nbytes for keyframe in self._keyframes)

    def images(self) -> set[int]:
        """The `id` of each keyframe's features, by which those that a frame shares are known."""
        return {id(keyframe.image) for keyframe in self._keyframes}

    def forget_one(self) -> bool:
        """Forgets the oldest KV cache of a keyframe, which takes no vision pass to make again; where there is none, the
        least useful features of a region that has others, else the oldest keyframe. The newest keyframe stays."""
        if len(self._keyframes) < 2:
            return False
        for keyframe in self._keyframes[:-1]:
            if keyframe.shared.nbytes:
                keyframe.shared.cache = None
                return True
        self._forget_least_useful()
        self._count()
        return True

    def _encoded_frame(self, keyframe: _Keyframe, regions: Sequence[Region]) -> EncodedFrame | None:
        features = []
        for region in regions:
            feature = keyframe.features.get(region.id)
            if feature is None or feature.fingerprint != fingerprint(region):
                return None
            features.append(feature)
        for feature in features:
            feature.uses += 1
        return self._engine.from_features(
            keyframe.image,
            [feature.region for feature in features],
            [feature.replay for feature in features],
            keyframe.shared,
        )

    def _shrink(self) -> None:
        now, age = self._keyframes[-1].stamp_ns, self._bounds.age_ns
        self._keyframes = [kept for kept in self._keyframes if abs(now - kept.stamp_ns) <= age]  # stamps may go back
        for region_id in self._keyframes[-1].features:
            while len(self._of(region_id)) > self._bounds.per_track:
                self._forget(*min(self._spare(region_id), key=_usefulness))
        while sum(kept.nbytes for kept in self._keyframes) > self._bounds.total_bytes and len(self._keyframes) > 1:
            self._forget_least_useful()
        self._count()

    def _forget_least_useful(self) -> None:
        spare = [pair for region_id in self._ids() for pair in self._spare(region_id)]
        if spare:
            self._forget(*min(spare, key=_usefulness))
        else:
            del self._keyframes[0]

    def _ids(self) -> set[str]:
        return {region_id for keyframe in self._keyframes for region_id in keyframe.features}

    def _of(self, region_id: str) -> list[tuple[_Keyframe, _Feature]]:
        """The keyframes with features of a region, in the order in which they were made."""
        return [
            (keyframe, keyframe.features[region_id]) for keyframe in self._keyframes if region_id in keyframe.features
        ]

    def _spare(self, region_id: str) -> list[tuple[_Keyframe, _Feature]]:
        """All but the last features of a region."""
        return self._of(region_id)[:-1]

    def _forget(self, keyframe: _Keyframe, feature: _Feature) -> None:
        del keyframe.features[feature.region.id]
        if not keyframe.features:
            self._keyframes.remove(keyframe)

    def _count(self) -> None:
        self.usage = Usage(
            keyframes=len(self._keyframes),
            tracks=len(self._ids()),
            features=sum(len(keyframe.features) for keyframe in self._keyframes),
            bytes=sum(keyframe.nbytes for keyframe in self._keyframes),
        )


def _key(frame: Frame, max_tiles: int) -> tuple[str, int, int, int]:
    return frame.frame_id, frame.stamp_ns, frame.number, max_tiles


def _usefulness(kept: tuple[_Keyframe, _Feature]) -> tuple[int, int]:
    keyframe, feature = kept
    return feature.uses, keyframe.stamp_ns
