# SPDX-License-Identifier: Apache-2.0
"""`gar ask`: one question about regions of an image file, or about one region in the frames of a video."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from pathlib import Path

from gar_ros.engine.command_line import add_engine_arguments, open_engine
from gar_ros.engine.encoded_frame import Answer
from gar_ros.errors import ErrorCode, GarError
from gar_ros.pictures.files import STORED, UPRIGHT, Picture, load_picture
from gar_ros.region import Box, Region


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar ask`."""
    parser.add_argument("question", nargs="?", help='such as "Is <Prompt0> left of <Prompt1>?"')
    pictures = parser.add_mutually_exclusive_group(required=True)
    pictures.add_argument("--image", type=Path, metavar="FILE", help="the picture, of any format Pillow reads")
    pictures.add_argument(
        "--frame",
        dest="frames",
        action="append",
        type=Path,
        metavar="FILE",
        help="instead of --image, once for each frame of a video: one object through all of them, <Prompt0>, with one "
        "--mask or --box a frame in the same order (experimental: as in the released code, which never used it)",
    )
    parser.add_argument(
        "--mask",
        dest="regions",
        action="append",
        type=Path,
        metavar="FILE",
        help="a region: a picture of the image's size, one shape bright on black or opaque on transparent; masks and "
        "boxes are <Prompt0>, <Prompt1>.. in the order given",
    )
    parser.add_argument(
        "--box",
        dest="regions",
        action="append",
        type=_box,
        metavar="X0,Y0,X1,Y1",
        help="a region: a rectangle in pixels without its right column and lower row (from outside: --box=-5,..)",
    )
    parser.add_argument(
        "--orientation",
        dest="regions_of",
        choices=(UPRIGHT, STORED),
        default="",
        help="for a photograph with an EXIF orientation that turns it: whether masks and boxes are of its pixels as "
        "viewers show them, or as they are in the file (default: whichever size fits, refused where both do)",
    )
    parser.add_argument("--choices", metavar="A,B,..", help="answer with one of these, separated by commas")
    parser.add_argument("--describe", action="store_true", help="describe the one region instead of asking a question")
    parser.add_argument("--max-tiles", type=int, metavar="N", help="tiles of the image besides its thumbnail")
    parser.add_argument(
        "--max-tokens", type=int, default=64, metavar="N", help="limit of a free answer (default: %(default)s)"
    )
    add_engine_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print everything about the answer as JSON")
    parser.add_argument("--verbose", action="store_true", help="log what is loaded and what it runs on")


def run(args: argparse.Namespace) -> int:
    """Prints the answer. Raises GarError."""
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, format="%(message)s")
    if args.describe == (args.question is not None) or (args.describe and args.choices is not None):
        raise GarError(
            ErrorCode.INVALID_REQUEST, "expected either a question (with or without --choices) or --describe"
        )
    if not args.regions:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected at least one --mask or --box")
    if args.frames:
        _check_video(args)
    pictures = [load_picture(path, args.regions_of) for path in args.frames or [args.image]]
    images = [picture.pixels for picture in pictures]
    # Every region is of the one image, or of its own frame.
    owners = pictures if args.frames else pictures * len(args.regions)
    regions = [_region(n, given, owner) for n, (given, owner) in enumerate(zip(args.regions, owners, strict=True))]
    choices = [] if args.choices is None else args.choices.split(",")
    start = time.perf_counter()
    engine = open_engine(args)
    loading = time.perf_counter() - start
    count, text = 1 if args.frames else len(regions), None if args.describe else args.question
    question = engine.parse(text, choices, count, args.max_tokens, video=bool(args.frames))
    if args.frames:
        frame = engine.encode_video(list(zip(images, regions, strict=True)))
    else:
        frame = engine.encode(images[0], regions, max_tiles=args.max_tiles)
    answer = frame.ask(question, max_tokens=args.max_tokens)
    if engine.manifest.notice:  # a refusal is one line
        print(f"note: {engine.manifest.notice}", file=sys.stderr)
    print(_as_json(answer, loading) if args.json else _as_text(answer, choices))
    return 0


def _box(text: str) -> Box:
    try:
        x0, y0, x1, y1 = map(int, text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"expected X0,Y0,X1,Y1 in whole pixels, got '{text}'") from error
    return x0, y0, x1, y1


def _check_video(args: argparse.Namespace) -> None:
    if len(args.regions) != len(args.frames):
        raise GarError(
            ErrorCode.INVALID_REQUEST,
            f"expected one --mask or --box for each --frame, got {len(args.regions)} for {len(args.frames)} frame(s)",
        )
    if args.max_tiles is not None:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected --max-tiles with --image only: a --frame is one tile")


def _region(number: int, given: Path | Box, picture: Picture) -> Region:
    """Region from the `number`th mask file or box, of a picture."""
    if not isinstance(given, Path):
        return picture.region_of_box(f"box {number}", given)
    return picture.region_of_mask(f"mask {number}: {given}", given)


def _as_text(answer: Answer, choices: list[str]) -> str:
    lines = [answer.text if answer.complete else f"{answer.text} ..."]
    lines += [
        f"{probability:6.3f}  {choice}" for probability, choice in zip(answer.probabilities, choices, strict=False)
    ]
    return "\n".join(lines)


def _as_json(answer: Answer, loading: float) -> str:
    return json.dumps(
        {
            "answer": answer.text,
            "token_ids": answer.token_ids,
            "choice": answer.choice,
            "probabilities": answer.probabilities,
            "confidence": answer.confidence,
            "complete": answer.complete,
            "prompt_tokens": answer.prompt_tokens,
            "generated_tokens": answer.generated_tokens,
            "seconds": {"load": loading, **answer.seconds},
        },
        ensure_ascii=False,
        indent=1,
    )
