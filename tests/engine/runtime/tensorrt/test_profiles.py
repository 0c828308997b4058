# SPDX-License-Identifier: Apache-2.0
"""Every shape that the engine can run has a profile, and profiles have corners that exist."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from gar_ros.engine.decoder import CHUNK, SCORED_ROWS
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION, Manifest
from gar_ros.engine.runtime.tensorrt.profiles import (
    FEW,
    Profile,
    Range,
    enclosing,
    graph_profiles,
    largest_grids,
    most_tiles,
)


@pytest.fixture(scope="module")
def manifest(four_tiles_model_dir: Path) -> Manifest:
    """4 tiles and a thumbnail of 288 px, 8 x 8 tokens each, 5 prompts, 2048 positions."""
    return ModelDir.open(four_tiles_model_dir).manifest


def takes(profile: Profile, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    return all(
        all(low <= size <= high for low, size, high in zip(profile[n].smallest, shape, profile[n].largest, strict=True))
        for n, shape in shapes.items()
    )


def test_vision_takes_one_tile_to_all_with_the_thumbnail(manifest: Manifest) -> None:
    (profile,) = graph_profiles(manifest)[VISION]
    assert (profile["pixel_values"].smallest, profile["pixel_values"].largest) == ((1, 3, 288, 288), (5, 3, 288, 288))
    assert profile["mask_values"].largest == (5, 1, 288, 288)
    assert most_tiles(manifest) == 5


def test_the_largest_grids_of_sixteen_tiles() -> None:
    assert largest_grids(16) == [(1, 16), (2, 8), (3, 5), (4, 4), (5, 3), (8, 2), (16, 1)]
    assert largest_grids(1) == [(1, 1)]


@pytest.mark.parametrize("most", [1, 4, 16, 36])
def test_every_grid_is_within_a_largest_one(most: int) -> None:
    grids = [(h, w) for h, w in itertools.product(range(1, most + 1), repeat=2) if h * w <= most]
    assert all(any(h <= top and w <= wide for top, wide in largest_grids(most)) for h, w in grids)
    assert all(h * w <= most for h, w in largest_grids(most))


def test_replay_takes_every_grid_with_one_to_all_prompts(manifest: Manifest) -> None:
    profiles = graph_profiles(manifest)[REPLAY]
    for h, w in [(1, 1), (1, 4), (4, 1), (2, 2), (1, 3)]:
        for regions in (1, 5):
            shapes = {"tile_features": (h * w, 64, 192), "wy": (regions, 8, 8 * h), "wx": (regions, 8, 8 * w)}
            assert any(takes(profile, shapes) for profile in profiles)


def test_the_corners_of_replay_profiles_are_real_grids(manifest: Manifest) -> None:
    for profile in graph_profiles(manifest)[REPLAY]:
        for corner in ("smallest", "usual", "largest"):
            tiles, wy, wx = (getattr(profile[name], corner) for name in ("tile_features", "wy", "wx"))
            assert tiles[0] == (wy[2] // 8) * (wx[2] // 8)
            assert wy[0] == wx[0]


def test_the_decoder_has_a_profile_for_prompts_and_one_for_few_tokens(manifest: Manifest) -> None:
    prompt, few = graph_profiles(manifest)[DECODER]
    names = {"inputs_embeds", "position_ids", "logits_idx"}
    caches = {f"past_key_values.{layer}.{kind}" for layer in range(4) for kind in ("key", "value")}
    assert set(prompt) == set(few) == names | caches
    assert (prompt["inputs_embeds"].smallest, prompt["inputs_embeds"].largest) == ((1, 1, 192), (1, CHUNK, 192))
    cache = prompt["past_key_values.3.value"]
    assert (cache.smallest, cache.largest) == ((1, 3, 0, 32), (1, 3, 2047, 32))
    assert prompt["logits_idx"].largest == (SCORED_ROWS,)
    assert few["inputs_embeds"] == Range((1, 1, 192), (1, 1, 192), (1, FEW, 192))
    assert few["logits_idx"] == Range((1,), (1,), (FEW,))
    assert few["past_key_values.0.key"].largest == (1, 3, 2047, 32)


def test_a_split_cache_has_shapes_for_both_parts(manifest: Manifest) -> None:
    split = msgspec.structs.replace(manifest, kv_cache="split")
    for joined, profile in zip(graph_profiles(manifest)[DECODER], graph_profiles(split)[DECODER], strict=True):
        recent = {f"recent.{layer}.{kind}" for layer in range(4) for kind in ("key", "value")}
        assert set(profile) == set(joined) | recent
        assert profile["recent.3.value"].largest == profile["past_key_values.3.value"].largest == (1, 3, 1, 2047, 32)


def test_a_static_cache_has_one_shape_and_reads_as_many_keys_as_there_are(manifest: Manifest) -> None:
    static = msgspec.structs.replace(manifest, kv_cache="static")
    profiles = graph_profiles(static)[DECODER]
    for joined, profile in zip(graph_profiles(manifest)[DECODER], profiles, strict=True):
        assert set(profile) == {*joined, "key_positions"}
        cache = profile["past_key_values.3.value"]
        assert cache.smallest == cache.usual == cache.largest == (1, 3, 2048, 32)
        assert (profile["key_positions"].smallest, profile["key_positions"].largest) == ((1,), (2048,))
    assert [profile["key_positions"].usual[0] for profile in profiles] == [2 * CHUNK, 6 * 64 + 1]


def test_a_tail_of_tokens_scores_one_token_to_all(manifest: Manifest) -> None:
    tail = msgspec.structs.replace(manifest, tail="tokens")
    for plain, profile in zip(graph_profiles(manifest)[DECODER], graph_profiles(tail)[DECODER], strict=True):
        assert set(profile) == {*plain, "scored_ids"}
        assert profile["scored_ids"] == Range((1,), (1,), (manifest.sizes.vocab,))


def test_the_enclosing_profile_takes_what_any_takes(manifest: Manifest) -> None:
    whole = enclosing(graph_profiles(manifest)[REPLAY])
    assert whole["tile_features"].largest[0] == 4
    assert (whole["wy"].largest, whole["wx"].largest) == ((5, 8, 32), (5, 8, 32))
    assert all(takes(whole, {n: r.largest for n, r in p.items()}) for p in graph_profiles(manifest)[REPLAY])
