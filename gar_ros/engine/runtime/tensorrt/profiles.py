# SPDX-License-Identifier: Apache-2.0
"""Optimisation profiles: the shapes that each graph of a model will be run with, from its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gar_ros.engine.decoder import CHUNK, SCORED_ROWS
from gar_ros.engine.model_dir.manifest import DECODER, REPLAY, VISION, Manifest

Shape = tuple[int, ...]

FEW = 8
"""Tokens, and rows with logits, of a run that is no piece of a prompt: a token that is decoded, or an answer's tokens
that are scored. A profile for exactly one token would not be faster: TensorRT then fuses no attention, and keeps a
second copy of all weights."""

_USUAL_TILES = 5  # a thumbnail and four tiles


@dataclass(frozen=True)
class Range:
    """Shapes of one input: kernels are chosen for the usual one and serve all from the smallest to the largest."""

    smallest: Shape
    usual: Shape
    largest: Shape


Profile = Mapping[str, Range]
"""Input name -> its shapes."""


def graph_profiles(manifest: Manifest) -> dict[str, tuple[Profile, ...]]:
    """Graph file -> its profiles.

    vision: from one tile to the most with the thumbnail. replay: one profile for each largest tile grid, up to all
    prompts. decoder: a prompt's pieces first, then a few tokens.
    """
    return {
        VISION: (_vision(manifest),),
        REPLAY: tuple(_replay(manifest)),
        DECODER: (_prompt(manifest), _few_tokens(manifest)),
    }


def enclosing(profiles: tuple[Profile, ...]) -> Profile:
    """One profile that takes what any of these does, with the usual shapes of the first: for runtimes with one."""
    return {
        name: Range(
            tuple(map(min, zip(*(profile[name].smallest for profile in profiles), strict=True))),
            usual.usual,
            tuple(map(max, zip(*(profile[name].largest for profile in profiles), strict=True))),
        )
        for name, usual in profiles[0].items()
    }


def most_tiles(manifest: Manifest) -> int:
    """Tiles of the largest image, and of one run of the vision graph at most."""
    return manifest.tiles.max_tiles + manifest.tiles.thumbnail


def _vision(manifest: Manifest) -> Profile:
    side, most = manifest.sizes.tile, most_tiles(manifest)
    counts = (1, min(_USUAL_TILES, most), most)
    return {
        "pixel_values": Range(*((tiles, 3, side, side) for tiles in counts)),
        "mask_values": Range(*((tiles, 1, side, side) for tiles in counts)),
    }


def _replay(manifest: Manifest) -> Iterator[Profile]:
    """The number of tiles is the product of the grid's sides, which a profile can't say: TensorRT finds the corners of
    one that spans 1..16 in each to contradict each other. With a profile for each of the grids that fit into no larger
    one (1x16, 2x8, 3x5, 4x4, 5x3 ..) every corner is a real grid, and every real grid is within one of them."""
    side, hidden, most = manifest.sizes.grid, manifest.sizes.hidden, manifest.tiles.max_tiles
    regions = len(manifest.tokens.prompts)
    for tiles_h, tiles_w in largest_grids(most):
        usual_h, usual_w = min(tiles_h, 2), min(tiles_w, 2)
        counts = (1, usual_h * usual_w, tiles_h * tiles_w)
        yield {
            "tile_features": Range(*((tiles, side * side, hidden) for tiles in counts)),
            "wy": Range((1, side, side), (1, side, usual_h * side), (regions, side, tiles_h * side)),
            "wx": Range((1, side, side), (1, side, usual_w * side), (regions, side, tiles_w * side)),
        }


def largest_grids(most: int) -> list[tuple[int, int]]:
    """Grids (tiles_h, tiles_w) of at most `most` tiles that no other such grid contains."""
    grids = [(tiles_h, most // tiles_h) for tiles_h in range(1, most + 1)]
    return [grid for grid, taller in zip(grids, [*grids[1:], (0, 0)], strict=True) if grid[1] != taller[1]]


def _prompt(manifest: Manifest) -> Profile:
    positions = manifest.sizes.max_positions
    piece, rows = min(CHUNK, positions), min(SCORED_ROWS, positions)
    return _decoder(manifest, (1, piece, piece), (0, min(CHUNK, positions - 1), positions - 1), (1, 1, rows))


def _few_tokens(manifest: Manifest) -> Profile:
    """Kernels are chosen for one token."""
    positions = manifest.sizes.max_positions
    few, longest = min(FEW, positions), positions - 1
    usual = min((_USUAL_TILES + 1) * manifest.sizes.tile_tokens, longest)
    return _decoder(manifest, (1, 1, few), (min(1, longest), usual, longest), (1, 1, few))


def _decoder(
    manifest: Manifest, tokens: tuple[int, int, int], past: tuple[int, int, int], rows: tuple[int, int, int]
) -> Profile:
    """A batch of one; each of tokens, past positions and rows with logits as (smallest, usual, largest)."""
    sizes = manifest.sizes
    parts: tuple[str, ...] = ("past_key_values",)
    between: tuple[int, ...] = ()
    if manifest.kv_cache == "split":
        parts, between = (*parts, "recent"), (1,)
    static, whole = manifest.kv_cache == "static", sizes.max_positions
    lengths = (whole, whole, whole) if static else past
    cache = Range(*((1, sizes.kv_heads, *between, length, sizes.head_dim) for length in lengths))
    profile = {
        "inputs_embeds": Range(*((1, count, sizes.hidden) for count in tokens)),
        "position_ids": Range(*((1, count) for count in tokens)),
        "logits_idx": Range(*((count,) for count in rows)),
    }
    if manifest.tail == "tokens":
        profile["scored_ids"] = Range((1,), (1,), (sizes.vocab,))
    if static:
        profile["key_positions"] = Range((1,), (min(past[1] + tokens[1], whole),), (whole,))
    names = (f"{part}.{layer}.{kind}" for part in parts for layer in range(sizes.layers) for kind in ("key", "value"))
    return profile | dict.fromkeys(names, cache)
