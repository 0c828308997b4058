"""What each oddity of the released code changes: the numbers of docs/released_code.md.

    python -m scripts.quirks MODEL IMAGE MASK [MASK ...]

MODEL: an exported model folder. Compared, on the CPU, are requests with an oddity and without it: the largest
difference of a replay value, in standard deviations of the usual ones, and of a logit of the answer's first token. The
box convention of the model's manifest counts as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from gar_ros.cli.pictures import load_image, load_mask
from gar_ros.engine.encoder import no_check
from gar_ros.engine.engine import GarEngine
from gar_ros.engine.replay import RoiConvention, region_boxes, replay_weights
from gar_ros.engine.runtime.runner import on_host
from gar_ros.engine.tiling import Grid, prompted, tile_grid, tile_pixels
from gar_ros.errors import GarError

QUESTION = "What is <Prompt0>?"


@dataclass(frozen=True)
class Request:
    """What reaches the decoder. boxes (R, 4) in 0..1; ids of prefix and question; tiles (tiles, g * g, H)."""

    engine: GarEngine
    grid: Grid
    features: NDArray[np.float32]
    tiles: NDArray[np.float32]
    boxes: NDArray[np.float64]
    convention: RoiConvention
    prefix: tuple[int, ...]

    def replay(self) -> NDArray[np.float32]:
        """Replay tokens (R, g * g, H)."""
        wy, wx = replay_weights(self.boxes, self.grid, self.engine.manifest.sizes.grid, self.convention)
        return self.engine.replayer.run({"tile_features": self.tiles, "wy": wy, "wx": wx})["replay"].numpy()

    def logits(self) -> NDArray[np.float32]:
        """Logits (V,) of the answer's first token."""
        engine, tokens = self.engine, self.engine.manifest.tokens
        ids = np.array(self.prefix)
        embeds = engine.decoder.embed(list(self.prefix))
        embeds[ids == tokens.image] = self.features.reshape(-1, embeds.shape[1])
        for crop, features in zip(tokens.crops, self.replay(), strict=False):
            embeds[ids == crop] = features
        asked = engine.decoder.embed(engine.prompts.question(QUESTION, len(self.boxes)))
        cache, _ = engine.decoder.prefill(engine.decoder.empty, embeds, no_check)
        return np.asarray(engine.decoder.prefill(cache, asked, no_check)[1]).ravel()


def request(model: Path, image: NDArray[np.uint8], masks: Sequence[NDArray[np.bool_]]) -> Request:
    """As the engine makes it. Raises GarError."""
    engine = GarEngine.open(model, provider="cpu")
    rule, sizes = engine.manifest.tiles, engine.manifest.sizes
    grid = tile_grid(image.shape[1], image.shape[0], rule.max_tiles, sizes.tile)
    pixels = tile_pixels(image, grid, sizes.tile, rule.thumbnail)
    inside = prompted(masks, grid, sizes.tile, rule.thumbnail)
    features = on_host(engine.encoder.encode(pixels, inside, no_check))
    (convention,) = (one for one in get_args(RoiConvention) if one == engine.manifest.roi_convention)
    prefix = engine.prompts.prefix("question", len(pixels), len(masks))
    tiles = features[1:] if rule.thumbnail else features
    return Request(engine, grid, features, tiles, region_boxes(masks), convention, tuple(prefix))


def oddities(usual: Request, size: tuple[int, int]) -> Iterator[tuple[str, Request]]:
    """Name and the request with it. size: width and height of the image in pixels."""
    other: RoiConvention = "correct" if usual.convention == "released" else "released"
    yield f"boxes as in convention '{other}'", replace(usual, convention=other)
    half_open = usual.boxes + np.array([0, 0, 1 / size[0], 1 / size[1]])
    yield "boxes that include their last pixel", replace(usual, boxes=half_open)
    yield "two start tokens", replace(usual, prefix=(usual.prefix[0], *usual.prefix))
    if len(usual.boxes) > 1:
        yield "the last region's box for all", replace(usual, boxes=np.repeat(usual.boxes[-1:], len(usual.boxes), 0))
        yield "regions named in the opposite order", replace(usual, prefix=opposite(usual))


def opposite(usual: Request) -> tuple[int, ...]:
    """The prefix with the regions named from the last to the first; each keeps its number and its crop token."""
    tokens, count = usual.engine.manifest.tokens, len(usual.boxes)
    swapped: dict[int, int] = {}
    for names in (tokens.prompts, tokens.crops):
        swapped |= dict(zip(names[:count], reversed(names[:count]), strict=True))
    return tuple(swapped.get(token, token) for token in usual.prefix)


def main(arguments: Sequence[str]) -> int:
    """Prints a Markdown table."""
    if len(arguments) < 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    model, picture, *regions = map(Path, arguments)
    try:
        image = load_image(picture)
        usual = request(model, image, [load_mask(path) for path in regions])
    except GarError as error:
        sys.stderr.write(f"quirks: {error.message}\n")
        return 2
    replay, logits = usual.replay(), usual.logits()
    print(f"| {len(regions)} region(s), {usual.grid[0]} x {usual.grid[1]} tiles | replay | logits | first token |")
    print("|---|---|---|---|")
    for name, odd in oddities(usual, (image.shape[1], image.shape[0])):
        moved = odd.logits()
        first = "same" if moved.argmax() == logits.argmax() else "another"
        replayed = np.abs(odd.replay() - replay).max() / replay.std()
        print(f"| {name} | {replayed:.2g} | {np.abs(moved - logits).max():.2g} | {first} |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
