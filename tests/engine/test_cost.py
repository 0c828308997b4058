# SPDX-License-Identifier: Apache-2.0
"""What a request takes is estimated from the manifest, and refused before anything is computed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from gar_ros.engine import cost
from gar_ros.engine.cost import MemoryLimit, kv_bytes_per_token, needed_bytes
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir, default_model_dir
from gar_ros.engine.model_dir.manifest import DECODER, Manifest, NumberType, Sizes
from gar_ros.errors import ErrorCode, GarError
from gar_ros.region import Region

TINY = ModelDir.open(default_model_dir()).manifest
GAR_1B = Sizes(
    tile=448, patch=14, grid=16, hidden=2048, layers=16, heads=32, kv_heads=8, head_dim=64, vocab=128262,
    max_positions=11520,
)  # fmt: skip
GAR_8B = msgspec.structs.replace(GAR_1B, hidden=4096, layers=32, head_dim=128)
MIB, GIB = 1 << 20, 1 << 30


def manifest(sizes: Sizes, numbers: NumberType = "float32") -> Manifest:
    return msgspec.structs.replace(TINY, sizes=sizes, dtypes={DECODER: numbers})


def test_a_token_of_the_kv_cache() -> None:
    assert kv_bytes_per_token(manifest(GAR_1B)) == 16 * 2 * 8 * 64 * 4
    assert kv_bytes_per_token(manifest(GAR_8B, "float16")) == 32 * 2 * 8 * 128 * 2
    assert kv_bytes_per_token(manifest(GAR_8B, "int4")) == 32 * 2 * 8 * 128 * 4
    assert kv_bytes_per_token(manifest(GAR_8B, "int4-float16")) == kv_bytes_per_token(manifest(GAR_8B, "bfloat16"))
    assert kv_bytes_per_token(manifest(GAR_8B, "bfloat16")) == 32 * 2 * 8 * 128 * 2


def test_the_estimate_of_a_full_image_is_near_what_was_measured() -> None:
    """GAR-1B in float32 on the CPU with 16 tiles and a thumbnail: 9.0 GB with 6.1 GB of weights."""
    assert 2.5 * GIB < needed_bytes(manifest(GAR_1B), 17, 1, tiles_per_run=1) < 3.5 * GIB


@pytest.mark.parametrize("sizes", [TINY.sizes, GAR_1B, GAR_8B])
def test_more_tiles_regions_or_tiles_in_a_run_never_need_less(sizes: Sizes) -> None:
    few = needed_bytes(manifest(sizes), 2, 1, 1)
    assert needed_bytes(manifest(sizes), 3, 1, 1) > few
    assert needed_bytes(manifest(sizes), 2, 2, 1) > few
    assert needed_bytes(manifest(sizes), 2, 1, 16) >= few
    assert needed_bytes(manifest(sizes, "float16"), 2, 1, 1) < few
    split, static = (msgspec.structs.replace(manifest(sizes), kv_cache=form) for form in ("split", "static"))
    assert needed_bytes(split, 2, 1, 1) >= few
    assert needed_bytes(static, 3, 1, 1) > needed_bytes(static, 2, 1, 1)


def test_a_static_cache_takes_whole_buffers() -> None:
    """Two of GAR-1B's whole context, where a joined cache takes four of an image's tokens."""
    joined = manifest(GAR_1B)
    static = msgspec.structs.replace(joined, kv_cache="static")
    tokens = (4 + 1) * 256 + 256
    more = (2 * 11520 - 4 * tokens) * kv_bytes_per_token(joined)
    assert needed_bytes(static, 4, 1, 1) - needed_bytes(joined, 4, 1, 1) == more


def test_a_limit_that_is_set_counts_everywhere() -> None:
    for on_cpu in (True, False):
        limit = MemoryLimit(1 * GIB, on_cpu)
        limit.check(manifest(GAR_1B), 2, 1, 1)
        with pytest.raises(GarError) as caught:
            limit.check(manifest(GAR_8B), 17, 5, 1)
        assert caught.value.code is ErrorCode.INVALID_REQUEST
        assert caught.value.message.startswith("17 tiles and 5 region(s) need about ")
        assert "MiB of memory, but request.max_memory allows 1024 MiB; use fewer tiles" in caught.value.message


def test_else_it_is_what_the_cpu_has_and_a_gpu_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "available_bytes", lambda: 100 * MIB)
    with pytest.raises(GarError, match="but 100 MiB are available"):
        MemoryLimit().check(manifest(GAR_1B), 17, 1, 1)
    MemoryLimit(on_cpu=False).check(manifest(GAR_1B), 17, 1, 1)
    monkeypatch.setattr(cost, "available_bytes", lambda: None)
    MemoryLimit().check(manifest(GAR_1B), 17, 1, 1)


def test_the_engine_refuses_before_it_encodes_and_answers_what_fits(model_dir: Path) -> None:
    engine = GarEngine.open(model_dir, "cpu", threads=1, max_memory=60 * MIB)
    image = np.zeros((288, 288 * 4, 3), np.uint8)
    regions = [Region.from_box("a", (0, 0, 9, 9), (image.shape[1], image.shape[0]))]
    with pytest.raises(GarError, match=r"need about \d+ MiB of memory, but request\.max_memory allows 60 MiB"):
        engine.encode(image, regions)
    with pytest.raises(GarError, match="5 tiles and 5 region"):
        engine.encode_video([(image, regions[0])] * 5)
    assert engine.encoder.encoded_tiles == 0
    assert engine.encode(image, regions, max_tiles=1).ask("What?", max_tokens=1).text is not None
