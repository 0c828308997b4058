# SPDX-License-Identifier: Apache-2.0
"""What a request takes in memory, estimated from the manifest before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass

from gar_ros.engine.available_memory import available_bytes
from gar_ros.engine.decoder import CHUNK, SCORED_ROWS
from gar_ros.engine.model_dir.manifest import DECODER, Manifest
from gar_ros.errors import ErrorCode, GarError

_MIB = 1 << 20
_FLOAT32 = 4
_HALF = ("float16", "bfloat16", "int4-float16")
_CACHES = {"joined": 4, "split": 4, "static": 2}
"""Of the prefix, of the question, and before and after the token that is being generated; or a buffer and the one that
it is copied to."""
_SCORES = {"joined": 2, "split": 4, "static": 2}
"""Arrays as large as all scores: these and their softmax; both in two parts, too."""
_QUESTION_TOKENS = 256  # of chat template, question and the sentence that names the regions
_ACTIVATIONS = 24  # arrays as large as a tile's patches in a layer of the vision graph: q, k, v, MLP, and their inputs


@dataclass(frozen=True)
class MemoryLimit:
    """How much a request may take. bytes: 0 for what is available on the CPU, and no limit on a GPU, whose memory is
    not measured. on_cpu: where features and KV caches are."""

    bytes: int = 0
    on_cpu: bool = True

    def check(self, manifest: Manifest, tiles: int, regions: int, tiles_per_run: int) -> None:
        """Raises GarError INVALID_REQUEST for a request that needs more.

        tiles: with the thumbnail. regions: number of regions, or of images of a video. tiles_per_run: of the vision
        graph; 0 for an image that is encoded already.
        """
        allowed = self.bytes or (available_bytes() if self.on_cpu else None)
        if allowed is None:
            return
        needed = needed_bytes(manifest, tiles, regions, tiles_per_run)
        if needed > allowed:
            limit = f"{allowed / _MIB:.0f} MiB"
            limit = f"request.max_memory allows {limit}" if self.bytes else f"{limit} are available"
            raise GarError(
                ErrorCode.INVALID_REQUEST,
                f"{tiles} tiles and {regions} region(s) need about {needed / _MIB:.0f} MiB of memory, but {limit}; "
                "use fewer tiles (request.max_tiles) or regions",
            )


def needed_bytes(manifest: Manifest, tiles: int, regions: int, tiles_per_run: int) -> int:
    """Bytes that a question about an image takes besides the model: see `MemoryLimit.check` for the arguments.

    Weights and what is kept of earlier requests are not counted. The manifest doesn't tell the vision graph's width;
    the decoder's stands for it.
    """
    sizes = manifest.sizes
    asked = min(regions, len(manifest.tokens.prompts))  # a keyframe has more
    tokens = (tiles + asked) * sizes.tile_tokens + _QUESTION_TOKENS
    number = _number_bytes(manifest)
    positions = sizes.max_positions if manifest.kv_cache == "static" else tokens
    cache = positions * kv_bytes_per_token(manifest)
    # And what frames share of an image that is encoded already.
    caches = _CACHES[manifest.kv_cache] + (tiles_per_run == 0)
    scores = tokens * sizes.heads * _SCORES[manifest.kv_cache]
    piece = min(tokens, CHUNK)
    prefill = piece * (scores + sizes.hidden * _ACTIVATIONS) * number
    logits = SCORED_ROWS * sizes.vocab * _FLOAT32 * 2  # in the runtime, and as an array
    pixels = tiles * 3 * sizes.tile**2 * 3  # resized, cut and joined; uint8
    patches = (sizes.tile // sizes.patch) ** 2
    heads = max(sizes.hidden // 64, 1)
    of_tile = 4 * sizes.tile**2 + patches * (patches * heads * 2 + sizes.hidden * _ACTIVATIONS)
    features = (tiles + regions) * sizes.tile_tokens * sizes.hidden * _FLOAT32
    embeddings = tokens * sizes.hidden * _FLOAT32
    # Vision and prefill follow each other: of what only one of them takes, the larger counts.
    of_either = max(tiles_per_run * of_tile * _FLOAT32, prefill + logits)
    return caches * cache + 2 * features + embeddings + pixels + of_either


def kv_bytes_per_token(manifest: Manifest) -> int:
    """Bytes of the KV cache that each token takes."""
    sizes = manifest.sizes
    return sizes.layers * 2 * sizes.kv_heads * sizes.head_dim * _number_bytes(manifest)


def _number_bytes(manifest: Manifest) -> int:
    """Of the decoder's caches and most of its activations; its weights may have fewer."""
    return 2 if manifest.dtypes.get(DECODER) in _HALF else _FLOAT32
