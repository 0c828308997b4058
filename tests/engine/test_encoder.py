# SPDX-License-Identifier: Apache-2.0
"""The tile cache: exact, bounded, and blind to nothing the graph sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import DTypeLike

from gar_ros.engine.encoder import TileEncoder
from gar_ros.engine.model_dir.manifest import TileRule
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.errors import ErrorCode, GarError
from tests.engine.fakes import HostTensor

RULE = TileRule("perception_lm", 4, True, (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
FEATURE_BYTES = 4


class SumVision:
    """One token of width 1 a tile: the sum of its pixels plus 1000 times that of its mask.

    kind: the type of the graph's inputs.
    """

    def __init__(self, kind: DTypeLike = np.float32) -> None:
        self.kind = np.dtype(kind)
        self.batches: list[int] = []

    def type_of(self, name: str) -> np.dtype:
        return self.kind

    def run(self, feeds: Mapping[str, Any]) -> dict[str, HostTensor]:
        pixels, inside = feeds["pixel_values"], feeds["mask_values"]
        self.batches.append(len(pixels))
        assert pixels.dtype == self.kind
        assert inside.shape == (len(pixels), 1, 2, 2)
        sums = pixels.sum((1, 2, 3)) + 1000 * inside.sum((1, 2, 3))
        return {"image_features": HostTensor(sums.reshape(-1, 1, 1).astype(np.float32))}


def tiles(*values: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Tiles (T, 3, 2, 2), each of one value."""
    return np.broadcast_to(np.array(values, np.uint8)[:, None, None, None], (len(values), 3, 2, 2))


def masks(*counts: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Masks (T, 2, 2) with that many pixels set."""
    return np.array([np.arange(4).reshape(2, 2) < count for count in counts])


def never_cancelled() -> None:
    pass


@pytest.fixture
def vision() -> SumVision:
    return SumVision()


@pytest.fixture
def encoder(vision: SumVision) -> TileEncoder:
    return TileEncoder(vision, RULE, cache_bytes=3 * FEATURE_BYTES, tiles_per_run=1)


def encode(encoder: TileEncoder, values: tuple[int, ...], counts: tuple[int, ...]) -> list[float]:
    features = on_host(encoder.encode(tiles(*values), masks(*counts), never_cancelled))
    return [float(value) for value in features[:, 0, 0]]


@pytest.mark.parametrize(("kind", "expected"), [(np.uint8, [6 * 12, 1000]), (np.float32, [5 * 12, 1000 - 12])])
def test_graphs_of_pixels_get_pixels_and_others_get_them_normalised(kind: DTypeLike, expected: list[float]) -> None:
    """Mean 1 and spread 1 in grey levels."""
    rule = TileRule("perception_lm", 4, True, (1 / 255,) * 3, (1 / 255,) * 3)
    encoder = TileEncoder(SumVision(kind), rule, cache_bytes=0, tiles_per_run=1)
    assert encode(encoder, (6, 0), (0, 1)) == pytest.approx(expected)


def test_features_come_in_the_tiles_order(encoder: TileEncoder) -> None:
    assert encode(encoder, (1, 2, 1), (0, 1, 2)) == [12, 1024, 2012]


def test_a_seen_tile_is_not_encoded_again(encoder: TileEncoder) -> None:
    encode(encoder, (1, 2), (0, 1))
    assert encode(encoder, (2, 1), (1, 0)) == [1024, 12]
    assert encoder.encoded_tiles == 2


def test_equal_tiles_of_one_frame_are_encoded_once(encoder: TileEncoder) -> None:
    assert encode(encoder, (7, 7), (1, 1)) == [1084, 1084]
    assert encoder.encoded_tiles == 1


@pytest.mark.parametrize(("values", "counts"), [((1, 3), (0, 1)), ((1, 2), (0, 2))])
def test_other_pixels_or_another_mask_is_another_tile(
    encoder: TileEncoder, values: tuple[int, ...], counts: tuple[int, ...]
) -> None:
    encode(encoder, (1, 2), (0, 1))
    encode(encoder, values, counts)
    assert encoder.encoded_tiles == 3


def test_the_least_recently_used_tile_leaves_first(encoder: TileEncoder) -> None:
    encode(encoder, (1, 2, 3), (0, 0, 0))
    encode(encoder, (1, 4), (0, 0))  # 2 leaves
    encode(encoder, (1, 3, 4), (0, 0, 0))
    assert encoder.encoded_tiles == 4
    encode(encoder, (2,), (0,))
    assert encoder.encoded_tiles == 5


def test_small_features_are_not_kept_for_ever(vision: SumVision, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gar_ros.engine.encoder.CACHED_TILES", 2)
    encoder = TileEncoder(vision, RULE, cache_bytes=1000 * FEATURE_BYTES, tiles_per_run=1)
    encode(encoder, (1, 2, 3), (0, 0, 0))
    assert encoder.nbytes == 2 * FEATURE_BYTES
    encode(encoder, (2, 3), (0, 0))
    assert encoder.encoded_tiles == 3


def test_tiles_can_be_missed_but_for_the_newest(encoder: TileEncoder) -> None:
    encode(encoder, (1, 2), (0, 0))
    assert encoder.forget_one() and encoder.nbytes == FEATURE_BYTES
    assert not encoder.forget_one()
    encode(encoder, (2,), (0,))
    assert encoder.encoded_tiles == 2


def test_a_frame_larger_than_the_cache_is_encoded_whole(vision: SumVision) -> None:
    encoder = TileEncoder(vision, RULE, cache_bytes=0, tiles_per_run=2)
    assert encode(encoder, (1, 2, 3, 4, 5), (0, 0, 0, 0, 0)) == [12, 24, 36, 48, 60]
    assert vision.batches == [2, 2, 1]


def test_a_check_stops_between_two_tiles(encoder: TileEncoder) -> None:
    def stop() -> None:
        if encoder.encoded_tiles == 1:
            raise GarError(ErrorCode.TIMED_OUT, "late")

    with pytest.raises(GarError, match="late"):
        encoder.encode(tiles(1, 2, 3), masks(0, 0, 0), stop)
    assert encoder.encoded_tiles == 1
