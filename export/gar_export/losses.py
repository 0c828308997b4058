# SPDX-License-Identifier: Apache-2.0
"""How far exports of fewer bits are from another export of the same checkpoint, in numbers instead of answers.

    python -m gar_export.losses MODEL OTHER[:PROVIDER] ..

Of each other model a row of a Markdown table: image features of a drawn picture, in at most four tiles (cosine, and the
farthest that a token moved, relative to its length); and logits at up to 64 places of a sequence that is equal for all,
the first model's features (cosine about the mean, and how often the largest logit is the same one).
What that means for answers only a trained model can tell: ask it (`gar bench`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gar_ros.bench.latency.scene import drawn_scene
from gar_ros.engine.cancel import never_cancelled
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.runtime.protocol import on_host
from gar_ros.engine.runtime.select import PROVIDERS
from gar_ros.errors import GarError

_MAX_TILES, _REGIONS = 4, 2
_PLACES, _LONGEST = 64, 16
"""How many logits are compared, and the most tokens between two of them."""

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Loss:
    """Of one model against another."""

    features: float  # cosine of all features
    farthest: float  # of a token's features, relative to the length of the other model's
    logits: float  # cosine, each position's about its mean
    top: float  # share of positions with the same largest logit


def loss(first: GarEngine, other: GarEngine) -> Loss:
    """How far the other model is from the first; both are exports of one checkpoint."""
    expected, found = features(first), features(other)
    moved = np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    wanted, got = logits(first, expected), logits(other, expected)
    top = float(np.mean(wanted.argmax(-1) == got.argmax(-1)))
    return Loss(cosine(expected, found), float(moved.max()), cosine(centred(wanted), centred(got)), top)


def features(engine: GarEngine) -> Rows:
    """Features [tokens, width] of the drawn picture's tiles."""
    scene = drawn_scene()
    regions = scene.regions(scene.asked(min(_REGIONS, len(engine.manifest.tokens.prompts))))
    most = min(_MAX_TILES, engine.manifest.tiles.max_tiles)
    tiles = on_host(engine.encode_image(scene.image, regions, most).features)
    return tiles.reshape(-1, tiles.shape[-1]).astype(np.float32)


def logits(engine: GarEngine, sequence: Rows) -> Rows:
    """Logits [n, vocabulary] of what follows the ends of the first pieces of a sequence [S, width]."""
    cache, found = engine.decoder.empty, []
    step = min(_LONGEST, -(-len(sequence) // _PLACES))
    for start in range(0, len(sequence), step)[:_PLACES]:
        cache, following = engine.decoder.prefill_logits(cache, sequence[start : start + step], never_cancelled)
        found.append(following)
    return np.stack(found)


def centred(rows: Rows) -> Rows:
    """Each row about its mean: a constant added to all logits changes nothing."""
    return rows - rows.mean(-1, keepdims=True)


def cosine(a: Rows, b: Rows) -> float:
    """Of two arrays as vectors."""
    x, y = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Compare exports of one checkpoint.")
    parser.add_argument("model", metavar="MODEL", help="the folder that the others are compared with")
    parser.add_argument("others", nargs="+", metavar="OTHER[:PROVIDER]", help="a folder, and what runs it (cpu)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="(default: all cores)")
    args = parser.parse_args(argv)
    try:
        first = GarEngine.open(args.model, "cpu", threads=args.threads)
        print("| model | features: cosine | a token moved by at most | logits: cosine | same largest |")
        print("| --- | --- | --- | --- | --- |", flush=True)
        for name in args.others:
            folder, _, provider = name.rpartition(":")
            if not folder or provider not in PROVIDERS:
                folder, provider = name, "cpu"
            of = loss(first, GarEngine.open(folder, provider, threads=args.threads))
            numbers = f"{of.features:.5f} | {of.farthest:.1%} | {of.logits:.4f} | {of.top:.0%}"
            print(f"| {Path(folder).name} on {provider} | {numbers} |", flush=True)
    except GarError as error:
        print(f"losses: {error.message}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
