"""`gar annotate`: asks about the images of a recorded bag and writes answers and overlay pictures into a new one."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from gar_ros.engine.engine import GarEngine
from gar_ros.engine.model_dir.folder import default_model_dir
from gar_ros.engine.runtime.select import PROVIDERS, Engines
from gar_ros.errors import ErrorCode, GarError

_LINE_SECONDS = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `gar annotate`."""
    add = parser.add_argument
    add("bag", type=Path, metavar="BAG", help="rosbag2 bag: folder, .mcap or .db3")
    add("--out", type=Path, required=True, metavar="BAG", help="folder of the new MCAP bag, which must not exist")
    add("--image", default="/image", metavar="TOPIC", help="camera images, compressed or not (default: %(default)s)")
    add(
        "--regions",
        default="",
        metavar="TOPIC",
        help="detections on them: gar_ros/RegionArray, vision_msgs/Detection2DArray or yolo_msgs/DetectionArray "
        "(default: /regions, where the bag has it)",
    )
    add(
        "--instances",
        default="",
        metavar="TOPIC",
        help="label images of the same stamps, instead of --regions or with the masks of its boxes (default: "
        "/instances, where --regions is not given)",
    )
    add(
        "--question",
        dest="questions",
        action="append",
        default=[],
        metavar="TEXT",
        help="may be repeated; without, every region is described",
    )
    add("--choices", metavar="A,B,..", help="answer with one of these, separated by commas")
    add(
        "--region",
        dest="region_ids",
        action="append",
        default=[],
        metavar="ID",
        help="<Prompt0>, then <Prompt1>..; without, every region is asked about alone",
    )
    add("--every", type=float, default=1.0, metavar="SECONDS", help="between images; 0: all (default: %(default)s)")
    add("--without-input", action="store_true", help="don't copy the bag's own messages")
    add("--model", type=Path, metavar="DIR", help="exported model folder (default: the shipped gar-tiny)")
    add("--max-tiles", type=int, metavar="N", help="tiles of an image besides its thumbnail")
    add("--max-tokens", type=int, default=64, metavar="N", help="limit of a free answer (default: %(default)s)")
    add("--provider", choices=PROVIDERS, default="auto", help="what to run on (default: %(default)s)")
    add("--engines", type=Path, metavar="FOLDER", help="TensorRT's engines (default: as `gar build-engine`)")
    add("--threads", type=int, default=0, metavar="N", help="threads on the CPU (default: all cores)")


def run(args: argparse.Namespace) -> int:
    """Writes the bag and says what is in it. Raises GarError."""
    try:
        from gar_ros.bag.annotate import Asking, Topics, annotate
        from gar_ros.bag.files import BagReader, BagWriter
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("gar_ros"):
            raise
        what = f"gar annotate needs the Python package {error.name}, which is not installed"
        raise GarError(ErrorCode.INVALID_REQUEST, what) from error
    if not 0 <= args.every < float("inf"):
        raise GarError(ErrorCode.INVALID_REQUEST, f"expected --every of 0 seconds or more, got {args.every}")
    if args.choices is not None and not args.questions:
        raise GarError(ErrorCode.INVALID_REQUEST, "expected a --question to go with --choices")
    asking = Asking(
        questions=tuple(args.questions),
        choices=tuple(args.choices.split(",")) if args.choices else (),
        region_ids=tuple(args.region_ids),
        every_ns=round(args.every * 1e9),
        max_tokens=args.max_tokens,
        max_tiles=args.max_tiles,
    )
    with BagReader(args.bag) as reader:
        topics = Topics(args.image, args.regions, args.instances).resolved(reader.types())
        engine = GarEngine.open(
            args.model or default_model_dir(), args.provider, args.threads, engines=Engines(args.engines)
        )
        questions = asking.parse(engine)  # before there is a bag
        with BagWriter(args.out) as writer:
            count = annotate(reader, writer, engine, topics, asking, questions, not args.without_input, _Progress())
    for reason, times in count.skipped.items():
        print(f"gar: {times} message(s) left out: {reason}", file=sys.stderr)
    print(f"{count.answers} answers about {count.images} images in {args.out}")
    if count.images == 0 and not count.skipped:
        print(f"gar: no image on {args.image} has regions of the same stamp", file=sys.stderr)
    return 0 if count.images else 1


class _Progress:
    """A line on stderr now and then."""

    def __init__(self) -> None:
        self._images, self._told = 0, time.monotonic()

    def __call__(self, stamp_ns: int) -> None:
        self._images += 1
        if time.monotonic() - self._told > _LINE_SECONDS:
            self._told = time.monotonic()
            print(f"{self._images} images, at {stamp_ns / 1e9:.2f} s", file=sys.stderr, flush=True)
