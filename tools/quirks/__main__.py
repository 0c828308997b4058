# SPDX-License-Identifier: Apache-2.0
"""What each oddity of the released code changes: the numbers of docs/released_code.md.

    python -m tools.quirks MODEL --image FILE --mask FILE [FILE ...]
    python -m tools.quirks MODEL --tabletop SCENES

MODEL: an exported model folder, run on the CPU. Requests with an oddity are compared with those without it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import ModelDir
from gar_ros.errors import GarError
from gar_ros.pictures.files import load_image, load_mask
from tools.quirks import parts, tabletop
from tools.quirks.picture import effects, replay_range
from tools.quirks.request import usual_request

QUESTION = "What is <Prompt0>?"
TOKENS = 16
SEEDS = 40
BESIDE = "<Prompt0> is beside <Prompt1>."


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints Markdown tables; the exit code is 2 where something can't be read."""
    parser = argparse.ArgumentParser("tools.quirks", description="What each oddity of the released code changes.")
    parser.add_argument("model", type=Path, help="exported model folder")
    parser.add_argument("--image", type=Path, metavar="FILE", help="picture to compare on")
    parser.add_argument("--mask", type=Path, nargs="+", default=[], metavar="FILE", help="its regions, in order")
    parser.add_argument("--max-tiles", type=int, metavar="N", help="tiles besides the thumbnail (default: the model's)")
    parser.add_argument("--question", default=QUESTION, help="what is asked about the picture (default: %(default)s)")
    parser.add_argument("--tabletop", type=int, metavar="SCENES", help="compare answers about simulated scenes instead")
    args = parser.parse_args(arguments)
    if args.tabletop is None and not (args.image and args.mask):
        parser.error("expected --image and --mask, or --tabletop")
    try:
        engine = GarEngine.open(args.model, provider="cpu")
        lines = _tabletop(engine, args.tabletop) if args.tabletop is not None else _picture(engine, args)
    except GarError as error:
        sys.stderr.write(f"quirks: {error.message}\n")
        return 2
    print("\n".join(lines))
    return 0


def _picture(engine: GarEngine, args: argparse.Namespace) -> list[str]:
    image = load_image(args.image)
    usual = usual_request(engine, image, [load_mask(path) for path in args.mask], args.max_tiles)
    tiles_w, tiles_h = usual.grid
    lines = [
        f"| {len(args.mask)} region(s), {tiles_w} × {tiles_h} tiles | replay | logits | answer stays the same |",
        "|---|---|---|---|",
    ]
    for one in effects(usual, (image.shape[1], image.shape[0]), args.question, TOKENS):
        lines.append(f"| {one.name} | {one.replay:.2g} | {one.logits:.2g} | {one.same} of {one.tokens} tokens |")
    within, between = replay_range(usual)
    across, down = parts.cells_read(usual.grid, engine.manifest.sizes.grid, "released")
    side = engine.manifest.sizes.grid
    tokenizer = ModelDir.open(args.model).tokenizer()
    levels = parts.pillow_levels(image, usual.grid, engine.manifest.sizes.tile)
    return [
        *lines,
        "",
        f"- Replay of the usual request: values differ by {within:.2g} within a region, by {between:.2g} between two.",
        f"- A box around everything, scaled twice, reads cells {across[0]:.2f} to {across[1]:.2f} of {tiles_w * side} "
        f"across and {down[0]:.2f} to {down[1]:.2f} of {tiles_h * side} down.",
        f"- A set of three prompts has {parts.set_orders(SEEDS)} orders over {SEEDS} hash seeds.",
        f"- '{BESIDE}' is decoded to '{parts.without_special_tokens(tokenizer, BESIDE)}'.",
        f"- Pillow's RGB resize of the picture differs by up to {levels} grey levels.",
    ]


def _tabletop(engine: GarEngine, scenes: int) -> list[str]:
    rows = ["| oddity | right answers | answers that change |", "|---|---|---|"]
    for name, one in tabletop.scores(engine, scenes).items():
        rows.append(f"| {name} | {one.right} of {one.asked} ({100 * one.right / one.asked:.1f} %) | {one.changed} |")
    return rows


if __name__ == "__main__":
    sys.exit(main())
