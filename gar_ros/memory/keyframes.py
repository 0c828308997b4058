"""Features of keyframes: what the tracked regions of past images looked like, in a bounded memory.

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
    from gar_ros.engine.encoded_frame import EncodedFrame
    from gar_ros.engine.engine import GarEngine
    from gar_ros.engine.runtime.protocol import Rows

CancelCheck = Callable[[], None]


@dataclass(frozen=True)
class Bounds:
    """Of the memory. per_track: features of one region, of different images. total_bytes: of all. age_ns: how far
    a keyframe's stamp may be from that of the last one made."""

    per_track: int
    total_bytes: int
    age_ns: int


@dataclass(frozen=True)
class Usage:
    """What is kept. tracks: regions with features; features: of all regions together."""

    keyframes: int = 0
    tracks: int = 0
    features: int = 0
    bytes: int = 0


@dataclass(eq=False)
class _Feature:
    """Replay tokens (1, g * g, H) of one region in one keyframe, and how often they were asked about."""

    region: Region
    fingerprint: Fingerprint
    replay: Rows
    uses: int = 0


@dataclass(eq=False)
class _Keyframe:
    """image: features (T, g * g, H) of the whole of it. features: by region id."""

    stamp_ns: int
    key: tuple[str, int, int]
    image: Rows
    features: dict[str, _Feature] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return int(self.image.nbytes) + sum(int(one.replay.nbytes) for one in self.features.values())


class KeyframeMemory:
    """Belongs to one thread, the one that owns the engine; `usage` may be read from any.

    Beyond its bounds the least useful features leave first: those asked about least often, among equals those of the
    oldest stamp. The last of each region stays as long as any other can leave.
    """

    def __init__(self, engine: GarEngine, bounds: Bounds) -> None:
        self._engine = engine
        self._bounds = bounds
        self._keyframes: list[_Keyframe] = []
        self.usage = Usage()

    def add(self, frame: Frame, regions: Sequence[Region], max_tiles: int, raise_if_cancelled: CancelCheck) -> None:
        """Encodes a frame with all its regions prompted. `raise_if_cancelled` may raise GarError to stop."""
        seen = self._engine.encode_image(
            frame.image, regions, max_tiles=max_tiles, raise_if_cancelled=raise_if_cancelled
        )
        key = _key(frame, max_tiles)
        self._keyframes = [one for one in self._keyframes if one.key != key]
        keyframe = _Keyframe(frame.stamp_ns, key, seen.features)
        for index, region in enumerate(regions):
            # A copy: a view would keep the replay of all regions in memory for as long as one of them is kept.
            replay = self._engine.join([seen.replay[index : index + 1]])
            keyframe.features[region.id] = _Feature(region, fingerprint(region), replay)
        self._keyframes.append(keyframe)
        self._shrink()

    def find(self, frame: Frame, regions: Sequence[Region], max_tiles: int) -> EncodedFrame | None:
        """The frame with these regions, ready to be asked; None when it is no keyframe or one was forgotten."""
        key = _key(frame, max_tiles)
        for keyframe in self._keyframes:
            if keyframe.key == key:
                return self._recall(keyframe, regions)
        return None

    def clear(self) -> None:
        """Forgets everything."""
        self._keyframes = []
        self._count()

    def _recall(self, keyframe: _Keyframe, regions: Sequence[Region]) -> EncodedFrame | None:
        found = [keyframe.features.get(region.id) for region in regions]
        features = [
            one
            for one, region in zip(found, regions, strict=True)
            if one is not None and one.fingerprint == fingerprint(region)
        ]
        if len(features) < len(regions):
            return None
        for one in features:
            one.uses += 1
        return self._engine.from_features(
            keyframe.image, [one.region for one in features], [one.replay for one in features]
        )

    def _shrink(self) -> None:
        now, age = self._keyframes[-1].stamp_ns, self._bounds.age_ns
        self._keyframes = [one for one in self._keyframes if abs(now - one.stamp_ns) <= age]  # stamps may go back
        for region_id in self._keyframes[-1].features:
            while len(self._of(region_id)) > self._bounds.per_track:
                self._forget(*min(self._spare(region_id), key=_usefulness))
        while sum(one.nbytes for one in self._keyframes) > self._bounds.total_bytes and len(self._keyframes) > 1:
            spare = [pair for region_id in self._ids() for pair in self._spare(region_id)]
            if spare:
                self._forget(*min(spare, key=_usefulness))
            else:
                del self._keyframes[0]
        self._count()

    def _ids(self) -> set[str]:
        return {region_id for one in self._keyframes for region_id in one.features}

    def _of(self, region_id: str) -> list[tuple[_Keyframe, _Feature]]:
        """As they came."""
        return [(one, one.features[region_id]) for one in self._keyframes if region_id in one.features]

    def _spare(self, region_id: str) -> list[tuple[_Keyframe, _Feature]]:
        return self._of(region_id)[:-1]

    def _forget(self, keyframe: _Keyframe, feature: _Feature) -> None:
        del keyframe.features[feature.region.id]
        if not keyframe.features:
            self._keyframes.remove(keyframe)

    def _count(self) -> None:
        self.usage = Usage(
            keyframes=len(self._keyframes),
            tracks=len(self._ids()),
            features=sum(len(one.features) for one in self._keyframes),
            bytes=sum(one.nbytes for one in self._keyframes),
        )


def _key(frame: Frame, max_tiles: int) -> tuple[str, int, int]:
    return frame.frame_id, frame.stamp_ns, max_tiles


def _usefulness(kept: tuple[_Keyframe, _Feature]) -> tuple[int, int]:
    keyframe, feature = kept
    return feature.uses, keyframe.stamp_ns
